/* A kernel of vectors of LANES output channels. hybrid_x86.c compiles it once for each instruction
 * set, so neither this nor the parts that it includes have a guard. A block is `count` positions of
 * a row by `across` vectors. */


typedef struct {
    const hybrid_conv_t *conv;
    unsigned char *arena;
    const uint8_t *rows; /* source of the block's first row, or its scratch */
    int32_t y, x;        /* of the first position */
    int32_t channel;     /* of the first lane */
    int32_t tile_bytes, row_bytes, column_bytes; /* from one to the next, before pooling */
} NAME(at);

/* ---- epilogue: exact sums of `count` positions, one vector each, to all outputs ---- */

/* Stores with a mask take many times as long as others on some processors. */
TARGET ALWAYS void NAME(store)(float *to, VF v, VM m, int32_t left)
{
    if (left >= LANES)
        v_store(to, v);
    else
        v_store_some(to, v, m);
}

TARGET ALWAYS void NAME(store_whole)(int32_t *to, VI v, VM m, int32_t left)
{
    if (left >= LANES)
        v_store_whole(to, v);
    else
        v_store_whole_some(to, v, m);
}

TARGET ALWAYS void NAME(write)(const NAME(at) *at, const hybrid_output_t *out, const VF *v,
                               const VM m, const int32_t count)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t channels = conv->channels, first = at->channel, left = channels - first;
    const int32_t place = (at->y * conv->width + at->x) * channels + first;
    if (out->kind == HYBRID_FLOATS) {
        float *to = (float *)(void *)(at->arena + out->offset) + place;
        UNROLL
        for (int32_t p = 0; p < count; p++) NAME(store)(to + p * channels, v[p], m, left);
        return;
    }
    const int32_t row = (at->y + out->border) * (conv->width + 2 * out->border) + out->border;
    uint8_t *bytes = at->arena + out->offset + (row + at->x) * out->stored;
    if (out->kind == HYBRID_SIGNS) {
        const VF limits = v_load(out->thresholds + first, m);
        const size_t size = left < LANES ? (size_t)(left + 7) / 8u : LANES / 8u;
        UNROLL
        for (int32_t p = 0; p < count; p++) {
            const uint32_t signs = v_signs(v[p], limits, m);
            uint8_t *to = bytes + p * out->stored + first / 8;
            if (size == LANES / 8u) /* of a size that the compiler knows */
                memcpy(to, &signs, LANES / 8u);
            else
                *to = (uint8_t)signs;
        }
        return;
    }
    const VF scale = v_set(out->scale), low = v_set(out->low), high = v_set(out->high);
    const int32_t every = out->every, kept = (conv->width + every - 1) / every;
    int32_t *wide = (int32_t *)(void *)(at->arena + out->offset)
                  + at->y / every * kept * channels + first;
    if (out->kind == HYBRID_WIDE && at->y % every) return;
    UNROLL
    for (int32_t p = 0; p < count; p++) {
        const VI codes = v_round(v_min(v_max(v_mul(v[p], scale), low), high));
        if (out->kind == HYBRID_CODES)
            v_bytes(bytes + p * out->stored + first, codes, left);
        else if (every == 1)
            NAME(store_whole)(wide + (at->x + p) * channels, codes, m, left);
        else if ((at->x + p) % every == 0)
            NAME(store_whole)(wide + (at->x + p) / every * channels, codes, m, left);
    }
}

TARGET ALWAYS void NAME(finish)(const NAME(at) *at, VF *v, const int32_t count)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t channels = conv->channels, first = at->channel, x = at->x;
    const VM m = v_mask(channels - first);
    const VF multiply = v_load(conv->multiply + first, m);
    const float *add = conv->add + conv->rows[at->y] * conv->kinds * channels + first;
    const VF same = v_load(add + conv->columns[x] * channels, m);
    UNROLL
    for (int32_t p = 0; p < count; p++) v[p] = v_mul(v[p], multiply);
    UNROLL
    for (int32_t p = 0; p < count; p++)
        v[p] = v_add(v[p], conv->kinds == 1 ? same
                                            : v_load(add + conv->columns[x + p] * channels, m));
    if (conv->plus >= 0) {
        const float *plus = (const float *)(const void *)(at->arena + conv->plus)
                          + (at->y * conv->width + x) * channels + first;
        UNROLL
        for (int32_t p = 0; p < count; p++) v[p] = v_add(v[p], v_load(plus + p * channels, m));
    }
    if (conv->relu) {
        UNROLL
        for (int32_t p = 0; p < count; p++) v[p] = v_max(v[p], v_set(0.0f));
    }
    if (conv->prelu) {
        const VF before = v_load(conv->prelu + first, m);
        const VF slope = v_load(conv->prelu + channels + first, m);
        const VF after = v_load(conv->prelu + 2 * channels + first, m);
        UNROLL
        for (int32_t p = 0; p < count; p++) {
            const VF moved = v_sub(v[p], before), scaled = v_mul(slope, moved);
            v[p] = v_add(v_rising(moved, scaled), after);
        }
    }
    for (int32_t o = 0; o < conv->output_count; o++)
        NAME(write)(at, conv->outputs + o, v, m, count);
}

#include "hybrid_vector_narrow.h"

#include "hybrid_vector_fine.h"

TARGET static void NAME(convolve)(const hybrid_conv_t *conv, unsigned char *arena,
                                  const void *weights)
{
    if (conv->packed)
        NAME(narrow)(conv, arena, (const uint8_t *)weights);
#ifdef DOT
    else if (conv->digits)
        NAME(digits)(conv, arena, (const uint8_t *)weights);
#endif
    else
        NAME(fine)(conv, arena, (const double *)weights);
}

/* ---- weights in the order of the loops above ---- */

TARGET static void NAME(unpack)(const hybrid_conv_t *conv, void *weights)
{
    const int32_t square = conv->kernel * conv->kernel, stored = conv->stored;
    const int32_t tile_bytes = NAME(tile_bytes)(conv), channels = conv->channels;
    int16_t own[HYBRID_MAX_WINDOW];
#ifdef DOT
    if (conv->digits) {
        NAME(unpack_digits)(conv, (int8_t *)weights);
        return;
    }
#endif
    if (!conv->packed) {
        const int32_t terms = square * conv->inputs;
        double *to = (double *)weights;
        for (int32_t c = 0; c < channels; c += LANES, to += terms * LANES)
            for (int32_t i = 0; i < terms * LANES; i++)
                to[i] = c + i % LANES < channels
                            ? conv->fine[i / LANES * channels + c + i % LANES] : 0;
        return;
    }
    memset(weights, 0, (size_t)((channels + LANES - 1) / LANES * tile_bytes));
    for (int32_t c = 0; c < channels; c++) {
        int8_t *to = (int8_t *)weights + c / LANES * tile_bytes + c % LANES * 4;
        if (conv->binary) {
            const int32_t bytes = hybrid_packed_bytes(conv);
            for (int32_t i = 0; i < bytes; i += 4)
                memcpy(to + i * LANES, conv->packed + c * bytes + i, 4);
            continue;
        }
        hybrid_unpack_channel(conv, c, own);
        for (int32_t i = 0; i < square * stored; i++) {
            const int32_t kx = i / stored / conv->kernel, ky = i / stored % conv->kernel;
            const int32_t place = (ky * conv->kernel + kx) * stored + i % stored;
#ifndef DOT
            if (!conv->pairs) { /* two halves, so that two products fit 16 bits */
                const int32_t half = own[i] >= 0 ? own[i] / 2 : (own[i] - 1) / 2;
                to[(place / 4 * 2) * 4 * LANES + place % 4] = (int8_t)half;
                to[(place / 4 * 2 + 1) * 4 * LANES + place % 4] = (int8_t)(own[i] - half);
                continue;
            }
#endif
            to[place / 4 * 4 * LANES + place % 4] = (int8_t)own[i];
        }
    }
}
