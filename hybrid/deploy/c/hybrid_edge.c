/* The engine: walks the steps of hybrid_net.c. See hybrid_edge.h. */
#include "hybrid_edge.h"

#include <float.h>
#include <string.h>

#include "hybrid_steps.h"

#ifdef __FAST_MATH__
#error "-ffast-math changes the answers; compile without it."
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "float must be computed as float; use -msse2 -mfpmath=sse or another target."
#endif

#if !defined(HYBRID_PORTABLE) && defined(__x86_64__) && defined(__GNUC__)
#define HYBRID_X86 1
#include <immintrin.h>
#endif

#if defined(__GNUC__)
#define ALWAYS static inline __attribute__((always_inline))
#else
#define ALWAYS static inline
#endif

#define LANES 16 /* output channels of a tile of weights */

typedef void (*row_kernel)(const hybrid_conv_t *conv, const uint8_t *source, const int8_t *weights,
                           int32_t y, int32_t *sums);

static int32_t whole(float value) /* |value| <= 2^22 and half to even, without a maths library */
{
    const float moved = value + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &moved, sizeof bits);
    return bits - 0x4B400000;
}

/* ---- sums of one row: int32 [width before pooling][tiles * LANES] ---- */

static void row_portable(const hybrid_conv_t *conv, const uint8_t *source, const int8_t *weights,
                         int32_t y, int32_t *sums)
{
    const int32_t quads = conv->quads, kernel = conv->kernel, stored = quads * 4;
    for (int32_t tile = 0; tile < conv->tiles; tile++) {
        const int8_t *tile_weights = weights + (int32_t)tile * kernel * kernel * stored * LANES;
        for (int32_t x = 0; x < conv->row_width; x++) {
            int32_t acc[LANES] = {0};
            const int8_t *w = tile_weights;
            for (int32_t ky = 0; ky < kernel; ky++) {
                const uint8_t *in = source + ((y * conv->stride + ky) * conv->source_width
                                              + x * conv->stride) * stored;
                for (int32_t k = 0; k < kernel * quads; k++, in += 4, w += 4 * LANES) {
                    for (int32_t lane = 0; lane < LANES; lane++) {
                        acc[lane] += in[0] * w[4 * lane] + in[1] * w[4 * lane + 1]
                                   + in[2] * w[4 * lane + 2] + in[3] * w[4 * lane + 3];
                    }
                }
            }
            memcpy(sums + (x * conv->tiles + tile) * LANES, acc, sizeof acc);
        }
    }
}

#ifdef HYBRID_X86
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

TARGET ALWAYS void vnni_block(const hybrid_conv_t *conv, const uint8_t *source,
                              const int8_t *weights, int32_t y, int32_t x, int32_t *sums,
                              int32_t tile, const int32_t count)
{
    const int32_t quads = conv->quads, kernel = conv->kernel, stored = quads * 4;
    const int32_t step = conv->stride * stored;
    __m512i acc[8];
    for (int32_t p = 0; p < count; p++) acc[p] = _mm512_setzero_si512();
    for (int32_t ky = 0; ky < kernel; ky++) {
        const uint8_t *in = source + (y * conv->stride + ky) * conv->source_width * stored
                          + x * step;
        for (int32_t k = 0; k < kernel * quads; k++, in += 4, weights += 64) {
            const __m512i w = _mm512_load_si512((const void *)weights);
            for (int32_t p = 0; p < count; p++) {
                int32_t four;
                memcpy(&four, in + p * step, 4);
                acc[p] = _mm512_dpbusd_epi32(acc[p], _mm512_set1_epi32(four), w);
            }
        }
    }
    for (int32_t p = 0; p < count; p++)
        _mm512_storeu_si512((void *)(sums + ((x + p) * conv->tiles + tile) * LANES), acc[p]);
}

TARGET static void row_vnni(const hybrid_conv_t *conv, const uint8_t *source,
                            const int8_t *weights, int32_t y, int32_t *sums)
{
    const int32_t bytes = conv->kernel * conv->kernel * conv->quads * 4 * LANES;
    for (int32_t tile = 0; tile < conv->tiles; tile++, weights += bytes) {
        int32_t x = 0;
        for (; x + 8 <= conv->row_width; x += 8)
            vnni_block(conv, source, weights, y, x, sums, tile, 8);
        for (; x + 4 <= conv->row_width; x += 4)
            vnni_block(conv, source, weights, y, x, sums, tile, 4);
        for (; x < conv->row_width; x++)
            vnni_block(conv, source, weights, y, x, sums, tile, 1);
    }
}
#endif

/* ---- epilogue of one position: sums (or exact float of them) to all outputs ---- */

ALWAYS void position(const hybrid_conv_t *conv, unsigned char *arena, const float *values,
                     const float *add, int32_t y, int32_t x)
{
    const int32_t channels = conv->channels;
    float result[HYBRID_MAX_CHANNELS];
    for (int32_t c = 0; c < channels; c++) {
        float value = values[c] * conv->multiply[c];
        result[c] = value + add[c];
    }
    if (conv->plus >= 0) {
        const float *plus = (const float *)(const void *)(arena + conv->plus)
                          + (y * conv->width + x) * channels;
        for (int32_t c = 0; c < channels; c++) result[c] = result[c] + plus[c];
    }
    if (conv->relu)
        for (int32_t c = 0; c < channels; c++) result[c] = result[c] > 0.0f ? result[c] : 0.0f;
    if (conv->prelu) {
        const float *before = conv->prelu, *slope = before + channels, *after = slope + channels;
        for (int32_t c = 0; c < channels; c++) {
            const float moved = result[c] - before[c];
            const float scaled = slope[c] * moved;
            result[c] = (moved >= 0.0f ? moved : scaled) + after[c];
        }
    }
    for (int32_t o = 0; o < conv->output_count; o++) {
        const hybrid_output_t *out = conv->outputs + o;
        if (out->kind == HYBRID_FLOATS) {
            memcpy(arena + out->offset + (size_t)(y * conv->width + x) * (size_t)channels * 4u,
                   result, (size_t)channels * 4u);
        } else if (out->kind == HYBRID_WIDE) {
            int32_t *to = (int32_t *)(void *)(arena + out->offset)
                        + (y * conv->width + x) * channels;
            for (int32_t c = 0; c < channels; c++) {
                float v = result[c] * out->scale;
                v = v > out->low ? v : out->low;
                v = v < out->high ? v : out->high;
                to[c] = whole(v);
            }
        } else {
            uint8_t *to = arena + out->offset
                        + ((y + out->border) * (conv->width + 2 * out->border) + x + out->border)
                              * out->stored;
            if (out->kind == HYBRID_SIGNS) {
                for (int32_t c = 0; c < channels; c++)
                    to[c] = (uint8_t)(result[c] >= out->thresholds[c]);
            } else {
                for (int32_t c = 0; c < channels; c++) {
                    float v = result[c] * out->scale;
                    v = v > out->low ? v : out->low;
                    v = v < out->high ? v : out->high;
                    to[c] = (uint8_t)whole(v);
                }
            }
        }
    }
}

ALWAYS void narrow_row(const hybrid_conv_t *conv, unsigned char *arena, int32_t y,
                       int32_t *sums, row_kernel kernel, const int8_t *weights)
{
    const int32_t lanes = conv->tiles * LANES, pool = conv->pool;
    const int32_t one_row = conv->row_width * lanes;
    float values[HYBRID_MAX_CHANNELS];
    for (int32_t p = 0; p < pool; p++)
        kernel(conv, arena + conv->source, weights, y * pool + p, sums + p * one_row);
    const float *add_row = conv->add + conv->rows[y] * conv->kinds * conv->channels;
    for (int32_t x = 0; x < conv->width; x++) {
        int32_t *best = sums + x * pool * lanes;
        for (int32_t p = 0; p < pool; p++) {
            for (int32_t q = 0; q < pool; q++) {
                const int32_t *other = sums + p * one_row + (x * pool + q) * lanes;
                if (p || q)
                    for (int32_t c = 0; c < lanes; c++)
                        best[c] = best[c] > other[c] ? best[c] : other[c];
            }
        }
        if (conv->correction) { /* codes 0 and 1 stand for -1 and +1 */
            for (int32_t c = 0; c < conv->channels; c++)
                values[c] = (float)(2 * best[c] - conv->correction[c]);
        } else {
            for (int32_t c = 0; c < conv->channels; c++) values[c] = (float)best[c];
        }
        position(conv, arena, values, add_row + conv->columns[x] * conv->channels, y, x);
    }
}

static void narrow_portable(const hybrid_conv_t *conv, unsigned char *arena,
                            const int8_t *weights)
{
    int32_t *sums = (int32_t *)(void *)(arena + HYBRID_SUMS);
    for (int32_t y = 0; y < conv->height; y++)
        narrow_row(conv, arena, y, sums, row_portable, weights);
}

#ifdef HYBRID_X86
TARGET static void narrow_vnni(const hybrid_conv_t *conv, unsigned char *arena,
                               const int8_t *weights)
{
    int32_t *sums = (int32_t *)(void *)(arena + HYBRID_SUMS);
    for (int32_t y = 0; y < conv->height; y++)
        narrow_row(conv, arena, y, sums, row_vnni, weights);
}
#endif

/* Weights of many bits: stem and shortcuts. Weights are [kernel][kernel][in][out]. */
ALWAYS void fine(const hybrid_conv_t *conv, unsigned char *arena)
{
    const int32_t channels = conv->channels, inputs = conv->inputs;
    int64_t sums[HYBRID_MAX_CHANNELS];
    float values[HYBRID_MAX_CHANNELS];
    for (int32_t y = 0; y < conv->height; y++) {
        const float *add_row = conv->add + conv->rows[y] * conv->kinds * channels;
        for (int32_t x = 0; x < conv->width; x++) {
            memset(sums, 0, (size_t)channels * sizeof *sums);
            const int32_t *w = conv->fine;
            for (int32_t ky = 0; ky < conv->kernel; ky++)
                for (int32_t kx = 0; kx < conv->kernel; kx++) {
                    const int32_t at = (y * conv->stride + ky) * conv->source_width
                                     + x * conv->stride + kx;
                    for (int32_t i = 0; i < inputs; i++, w += channels) {
                        const int32_t code =
                            conv->source_wide
                                ? ((const int32_t *)(const void *)(arena + conv->source))
                                      [at * inputs + i]
                                : arena[conv->source + at * conv->quads * 4 + i];
                        for (int32_t c = 0; c < channels; c++) sums[c] += (int64_t)code * w[c];
                    }
                }
            for (int32_t c = 0; c < channels; c++) values[c] = (float)sums[c];
            position(conv, arena, values, add_row + conv->columns[x] * channels, y, x);
        }
    }
}

static void fine_portable(const hybrid_conv_t *conv, unsigned char *arena) { fine(conv, arena); }
#ifdef HYBRID_X86
TARGET static void fine_vnni(const hybrid_conv_t *conv, unsigned char *arena)
{
    fine(conv, arena);
}
#endif

static void fill_borders(const hybrid_conv_t *conv, unsigned char *arena)
{
    for (int32_t o = 0; o < conv->output_count; o++) {
        const hybrid_output_t *out = conv->outputs + o;
        if (out->kind != HYBRID_CODES && out->kind != HYBRID_SIGNS) continue;
        const int32_t wide = conv->width + 2 * out->border, high = conv->height + 2 * out->border;
        for (int32_t y = 0; y < high; y++)
            for (int32_t x = 0; x < wide; x++) {
                uint8_t *to = arena + out->offset + (y * wide + x) * out->stored;
                const int inside = y >= out->border && y < high - out->border
                                && x >= out->border && x < wide - out->border;
                if (inside && out->stored == conv->channels) continue;
                memset(to, 0, (size_t)out->stored);
                if (!inside && out->fill) memcpy(to, out->fill, (size_t)conv->channels);
            }
    }
}

static void head(hybrid_edge_t *edge, const hybrid_head_t *one)
{
    const int32_t *x = (const int32_t *)(const void *)(edge->arena + one->source);
    const int32_t rows = one->height / one->pool, columns = one->width / one->pool;
    for (int32_t k = 0; k < HYBRID_CLASSES; k++) edge->logits[k] = one->bias[k];
    for (int32_t c = 0; c < one->channels; c++)
        for (int32_t r = 0; r < rows; r++)
            for (int32_t s = 0; s < columns; s++) {
                int64_t sum = 0;
                for (int32_t p = 0; p < one->pool; p++)
                    for (int32_t q = 0; q < one->pool; q++)
                        sum += x[((r * one->pool + p) * one->width + s * one->pool + q)
                                     * one->channels + c];
                const int32_t *w = one->weights + ((c * rows + r) * columns + s) * HYBRID_CLASSES;
                for (int32_t k = 0; k < HYBRID_CLASSES; k++) edge->logits[k] += sum * w[k];
            }
}

/* ---- the exit's test ---- */

uint32_t hybrid_edge_confidence(const hybrid_edge_t *edge, int32_t exit, int32_t measure)
{
    const uint64_t multiply = edge->multipliers[exit];
    const uint64_t cap = ((uint64_t)31 << 48) / multiply;
    uint64_t total = 0, mean = 0, first = 0, second = 0;
    int64_t largest = edge->logits[0];
    for (int32_t k = 1; k < HYBRID_CLASSES; k++)
        if (edge->logits[k] > largest) largest = edge->logits[k];
    for (int32_t k = 0; k < HYBRID_CLASSES; k++) {
        uint64_t below = (uint64_t)(largest - edge->logits[k]);
        if (below > cap) below = cap;
        const uint64_t exponent = (below * multiply) >> 32;
        const uint32_t part = (uint32_t)(exponent >> 10) & 63u, rest = (uint32_t)exponent & 1023u;
        const uint32_t here = hybrid_powers[part];
        const uint32_t between = here - (((here - hybrid_powers[part + 1u]) * rest) >> 10);
        const uint64_t weight = between >> (exponent >> 16);
        total += weight;
        mean += weight * exponent;
        if (weight > first) {
            second = first;
            first = weight;
        } else if (weight > second) {
            second = weight;
        }
    }
    if (measure == HYBRID_MAX_PROBABILITY || (HYBRID_CLASSES == 1 && measure == HYBRID_MARGIN))
        return (uint32_t)((first << 24) / total);
    if (measure == HYBRID_MARGIN) return (uint32_t)(((first - second) << 24) / total);
    uint32_t bits = 0; /* log2(total / 2^24) in 2^-16 */
    while ((total >> bits) >= ((uint64_t)1 << 25)) bits++;
    const uint32_t within = (uint32_t)(total >> bits) - HYBRID_ONE;
    const uint32_t at = within >> 18, left = within & 0x3FFFFu, here = hybrid_log2[at];
    const uint64_t log2_total =
        ((uint64_t)bits << 16) + here + ((uint64_t)(hybrid_log2[at + 1u] - here) * left >> 18);
    const uint64_t lost = ((log2_total + mean / total) * HYBRID_PER_BIT) >> 16;
    return lost > HYBRID_ONE ? 0u : (uint32_t)(HYBRID_ONE - lost);
}

/* ---- the interface ---- */

int32_t hybrid_edge_best_kernel(void)
{
#ifdef HYBRID_X86
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return 1;
#endif
    return 0;
}

static void unpack(const hybrid_conv_t *conv, int8_t *weights)
{
    const int32_t stored = conv->quads * 4, square = conv->kernel * conv->kernel;
    uint32_t place = 0;
    memset(weights, 0, (size_t)(conv->tiles * square * stored * LANES));
    for (int32_t c = 0; c < conv->channels; c++)
        for (int32_t tap = 0; tap < square; tap++)
            for (int32_t i = 0; i < conv->inputs; i++, place += conv->bits) {
                const uint32_t low = place & 7u;
                uint32_t two = conv->packed[place >> 3];
                if (low + conv->bits > 8u) two |= (uint32_t)conv->packed[(place >> 3) + 1u] << 8;
                const int32_t code = (int32_t)((two >> low) & ((1u << conv->bits) - 1u));
                weights[((c / LANES * square + tap) * conv->quads + i / 4) * 4 * LANES
                        + c % LANES * 4 + i % 4] = (int8_t)(code * conv->spread + conv->lowest);
            }
}

void hybrid_edge_unpack(int8_t *weights)
{
    for (int32_t s = 0; s < HYBRID_STEPS; s++)
        if (hybrid_steps[s].conv && hybrid_steps[s].conv->packed)
            unpack(hybrid_steps[s].conv, weights + hybrid_steps[s].conv->weights);
}

void hybrid_edge_init(hybrid_edge_t *edge, void *arena, const int8_t *weights)
{
    memset(edge, 0, sizeof *edge);
    edge->arena = (unsigned char *)arena;
    edge->weights = weights;
    edge->kernel = hybrid_edge_best_kernel();
    memcpy(edge->multipliers, hybrid_multipliers, sizeof edge->multipliers);
    for (int32_t i = 0; i < HYBRID_EXITS; i++) edge->thresholds[i] = HYBRID_ONE + 1u;
    edge->next_step = HYBRID_STEPS;
}

void hybrid_edge_begin(hybrid_edge_t *edge, const uint8_t *pixels)
{
    const int32_t border = HYBRID_PIXEL_BORDER, wide = HYBRID_WIDTH + 2 * border;
    uint8_t *to = edge->arena + HYBRID_PIXELS;
    memset(to, 0, (size_t)(wide * (HYBRID_HEIGHT + 2 * border) * HYBRID_PIXEL_STORED));
    for (int32_t y = 0; y < HYBRID_HEIGHT; y++)
        for (int32_t x = 0; x < HYBRID_WIDTH; x++)
            memcpy(to + ((y + border) * wide + x + border) * HYBRID_PIXEL_STORED,
                   pixels + (y * HYBRID_WIDTH + x) * HYBRID_CHANNELS, HYBRID_CHANNELS);
    edge->next_step = 0;
    edge->next_exit = 0;
}

static void convolve(const hybrid_edge_t *edge, const hybrid_conv_t *conv)
{
    fill_borders(conv, edge->arena);
#ifdef HYBRID_X86
    if (edge->kernel == 1) {
        if (conv->packed)
            narrow_vnni(conv, edge->arena, edge->weights + conv->weights);
        else
            fine_vnni(conv, edge->arena);
        return;
    }
#endif
    if (conv->packed)
        narrow_portable(conv, edge->arena, edge->weights + conv->weights);
    else
        fine_portable(conv, edge->arena);
}

int32_t hybrid_edge_step(hybrid_edge_t *edge, hybrid_answer_t *answer)
{
    while (edge->next_step < HYBRID_STEPS) {
        const hybrid_step_t *step = hybrid_steps + edge->next_step++;
        if (step->conv) {
            convolve(edge, step->conv);
            continue;
        }
        head(edge, step->head);
        const int32_t exit = edge->next_exit++;
        answer->exit = exit;
        answer->class_index = 0;
        for (int32_t k = 1; k < HYBRID_CLASSES; k++)
            if (edge->logits[k] > edge->logits[answer->class_index]) answer->class_index = k;
        answer->confidence = hybrid_edge_confidence(edge, exit, edge->measure);
        answer->leaves = answer->confidence >= edge->thresholds[exit];
        return 1;
    }
    return 0;
}

uint32_t hybrid_edge_pack(const hybrid_edge_t *edge, uint8_t *out)
{
    const uint8_t *codes = edge->arena + HYBRID_SENT;
    uint32_t place = 0;
    memset(out, 0, HYBRID_SENT_BYTES);
    for (int32_t c = 0; c < HYBRID_SENT_CHANNELS; c++)
        for (int32_t i = 0; i < HYBRID_SENT_PIXELS; i++, place += HYBRID_SENT_BITS) {
            const uint32_t value = (uint32_t)codes[i * HYBRID_SENT_STORED + c] << (place & 7u);
            out[place >> 3] = (uint8_t)(out[place >> 3] | value);
            if (value >> 8) out[(place >> 3) + 1u] = (uint8_t)(value >> 8);
        }
    return HYBRID_SENT_BYTES;
}
