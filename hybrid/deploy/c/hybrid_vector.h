/* A kernel of vectors of LANES output channels; hybrid_x86.c compiles it once per instruction set,
 * so it has no include guard. A block is `count` positions of a row by `across` vectors. */

typedef struct {
    const hybrid_conv_t *conv;
    unsigned char *arena;
    const uint8_t *rows; /* source of the block's first row, or its scratch */
    int32_t y, x;        /* of the first position */
    int32_t channel;     /* of the first lane */
    int32_t tile_bytes, row_bytes, column_bytes; /* from one to the next, before pooling */
} NAME(at);

/* ---- epilogue: exact sums of `count` positions, one vector each, to all outputs ---- */

TARGET ALWAYS void NAME(write)(const NAME(at) *at, const hybrid_output_t *out, const VF *v,
                               const VM m, const int32_t count)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t channels = conv->channels, first = at->channel, left = channels - first;
    const int32_t place = (at->y * conv->width + at->x) * channels + first;
    if (out->kind == HYBRID_FLOATS) {
        float *to = (float *)(void *)(at->arena + out->offset) + place;
        UNROLL
        for (int32_t p = 0; p < count; p++) v_store(to + p * channels, v[p], m);
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
            v_bytes(bytes + p * out->stored + first, codes, m, left);
        else if (every == 1)
            v_store_whole(wide + (at->x + p) * channels, codes, m);
        else if ((at->x + p) % every == 0)
            v_store_whole(wide + (at->x + p) / every * channels, codes, m);
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

/* ---- weights of 1 to 8 bits by codes ---- */

/* Where the window of sum p starts; of a square of two by two, four sums follow each other. */
#define PLACE(p) \
    ((p) / square * right + (p) % square % 2 * at->column_bytes + (p) % square / 2 * at->row_bytes)

TARGET ALWAYS void NAME(products)(const NAME(at) *at, const int8_t *weights, VI *sums,
                                  const int32_t count, const int32_t across, const int32_t square)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t kernel = conv->kernel, stored = conv->stored, quads = kernel * stored / 4;
    const int32_t right = conv->pool * at->column_bytes, tile_bytes = at->tile_bytes;
    const uint8_t *row = at->rows;
    UNROLL
    for (int32_t i = 0; i < count * across; i++) sums[i] = v_zero();
    for (int32_t ky = 0; ky < kernel; ky++, row += conv->source_width * stored) {
        const uint8_t *in = row;
#ifdef DOT
        for (int32_t k = 0; k < quads; k++, in += 4, weights += LANES * 4) {
            VI w[3];
            UNROLL
            for (int32_t t = 0; t < across; t++) w[t] = v_full(weights + t * tile_bytes);
            UNROLL
            for (int32_t p = 0; p < count; p++) {
                const VI codes = v_broadcast(word(in + PLACE(p)));
                UNROLL
                for (int32_t t = 0; t < across; t++)
                    sums[p * across + t] = DOT(sums[p * across + t], codes, w[t]);
            }
        }
#else
        const VI one = _mm256_set1_epi16(1);
        if (!conv->pairs) { /* products of 8 bits: the weights are there in two halves */
            for (int32_t k = 0; k < 2 * quads; k++, weights += LANES * 4)
                UNROLL
                for (int32_t p = 0; p < count; p++) {
                    const VI codes = v_broadcast(word(in + k / 2 * 4 + PLACE(p)));
                    UNROLL
                    for (int32_t t = 0; t < across; t++) {
                        const VI w = v_full(weights + t * tile_bytes);
                        const VI two = _mm256_maddubs_epi16(codes, w);
                        sums[p * across + t] =
                            v_plus(sums[p * across + t], _mm256_madd_epi16(two, one));
                    }
                }
            continue;
        }
        for (int32_t left = quads; left > 0; left -= conv->pairs) {
            VI some[MOST];
            UNROLL
            for (int32_t i = 0; i < count * across; i++) some[i] = v_zero();
            for (int32_t k = left < conv->pairs ? left : conv->pairs; k > 0; k--) {
                VI w[3];
                UNROLL
                for (int32_t t = 0; t < across; t++) w[t] = v_full(weights + t * tile_bytes);
                UNROLL
                for (int32_t p = 0; p < count; p++) {
                    const VI codes = v_broadcast(word(in + PLACE(p)));
                    UNROLL
                    for (int32_t t = 0; t < across; t++)
                        some[p * across + t] = _mm256_add_epi16(
                            some[p * across + t], _mm256_maddubs_epi16(codes, w[t]));
                }
                in += 4;
                weights += LANES * 4;
            }
            UNROLL
            for (int32_t i = 0; i < count * across; i++)
                sums[i] = v_plus(sums[i], _mm256_madd_epi16(some[i], one));
        }
#endif
    }
}

/* ---- weights of 1 bit by signs: how many differ ---- */

TARGET ALWAYS VI NAME(ones)(VI v) /* in words or, without an instruction for it, in bytes */
{
#ifdef ONES
    return ONES(v);
#else
    const VI table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2,
                                      1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const VI nibble = _mm256_set1_epi8(15);
    const VI low = _mm256_and_si256(v, nibble);
    const VI high = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
#endif
}

TARGET ALWAYS void NAME(differences)(const NAME(at) *at, const uint8_t *weights, VI *sums,
                                     const int32_t count)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t bytes = conv->kernel * conv->kernel * conv->stored, words = (bytes + 3) / 4;
    const int32_t step = conv->pool * at->column_bytes;
    const VI last = v_broadcast((int32_t)(0xFFFFFFFFu >> 8 * (4 * words - bytes)));
    const VI all = v_broadcast(-1);
    const VI total = v_broadcast(conv->kernel * conv->kernel * conv->inputs);
    UNROLL
    for (int32_t p = 0; p < count; p++) sums[p] = v_zero();
    for (int32_t start = 0; start < words; start += 31) { /* 31 * 8 ones fit a byte */
        const int32_t end = start + 31 < words ? start + 31 : words;
        VI some[MOST];
        UNROLL
        for (int32_t p = 0; p < count; p++) some[p] = v_zero();
        for (int32_t k = start; k < end; k++, weights += LANES * 4) {
            const VI w = v_full(weights), m = k < words - 1 ? all : last;
            UNROLL
            for (int32_t p = 0; p < count; p++) {
                const VI codes = v_broadcast(word(at->rows + 4 * k + p * step));
#ifdef ONES
                const VI differ = _mm512_ternarylogic_epi32(codes, w, m, 0x28);
                some[p] = v_plus(some[p], NAME(ones)(differ));
#else
                const VI differ = _mm256_and_si256(_mm256_xor_si256(codes, w), m);
                some[p] = _mm256_add_epi8(some[p], NAME(ones)(differ));
#endif
            }
        }
        UNROLL
        for (int32_t p = 0; p < count; p++) {
#ifndef ONES
            const VI pairs = _mm256_maddubs_epi16(some[p], _mm256_set1_epi8(1));
            some[p] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
            sums[p] = v_plus(sums[p], some[p]);
        }
    }
    UNROLL
    for (int32_t p = 0; p < count; p++) {
#ifdef ONES
        sums[p] = _mm512_sub_epi32(total, v_plus(sums[p], sums[p]));
#else
        sums[p] = _mm256_sub_epi32(total, v_plus(sums[p], sums[p]));
#endif
    }
}

/* ---- a block of 1- to 8-bit weights; the largest of each pooled square goes on ---- */

TARGET ALWAYS void NAME(block)(NAME(at) at, const uint8_t *weights, const int32_t count,
                               const int32_t across, const int32_t square, const int binary)
{
    const int32_t pool = at.conv->pool;
    const uint8_t *corner = at.rows + at.x * pool * at.column_bytes;
    VI best[MOST], other[MOST];
    for (int32_t i = 0; i < (square == 1 ? pool * pool : 1); i++) {
        VI *to = i ? other : best;
        at.rows = corner + i / pool * at.row_bytes + i % pool * at.column_bytes;
        if (binary)
            NAME(differences)(&at, weights, to, count);
        else
            NAME(products)(&at, (const int8_t *)weights, to, count * square, across, square);
        if (i) {
            UNROLL
            for (int32_t j = 0; j < count * across; j++) best[j] = v_larger(best[j], other[j]);
        }
    }
    UNROLL
    for (int32_t t = 0; t < across; t++, at.channel += LANES) {
        VF v[MOST];
        UNROLL
        for (int32_t p = 0; p < count; p++) {
            const VI *of = best + p * square * across + t;
            v[p] = v_float(square == 1 ? of[0]
                                       : v_larger(v_larger(of[0], of[across]),
                                                  v_larger(of[2 * across], of[3 * across])));
        }
        NAME(finish)(&at, v, count);
    }
}

/* One row of the output. */
#define WHILE(count, across, square, binary)          \
    for (; at.x + (count) <= width; at.x += (count)) \
        NAME(block)(at, weights, count, across, square, binary);

TARGET static void NAME(row_of_one)(NAME(at) at, const uint8_t *weights)
{
    const int32_t width = at.conv->width;
    WHILE(MOST, 1, 1, 0)
    WHILE(4, 1, 1, 0)
    WHILE(1, 1, 1, 0)
}

TARGET static void NAME(row_of_two)(NAME(at) at, const uint8_t *weights)
{
    const int32_t width = at.conv->width;
    if (at.conv->pool == 2) {
        WHILE(MOST / 8, 2, 4, 0)
        WHILE(1, 2, 4, 0)
        return;
    }
    WHILE(MOST / 2, 2, 1, 0)
#if MOST == 16
    WHILE(7, 2, 1, 0)
#endif
    WHILE(3, 2, 1, 0)
    WHILE(1, 2, 1, 0)
}

TARGET static void NAME(row_of_signs)(NAME(at) at, const uint8_t *weights)
{
    const int32_t width = at.conv->width;
    WHILE(8, 1, 1, 1)
    WHILE(1, 1, 1, 1)
}

TARGET static int32_t NAME(tile_bytes)(const hybrid_conv_t *conv)
{
    const int32_t bytes = conv->kernel * conv->kernel * conv->stored;
    if (conv->binary) return (bytes + 3) / 4 * 4 * LANES;
#ifndef DOT
    if (!conv->pairs) return 2 * bytes * LANES;
#endif
    return bytes * LANES;
}

/* The rows under a row of the kernel, columns first: a window is then one run of bits. */
static void NAME(columns_of)(const hybrid_conv_t *conv, const uint8_t *source, uint8_t *to)
{
    const int32_t stored = conv->stored, kernel = conv->kernel, wide = conv->source_width;
    if (kernel == 3 && (stored == 2 || stored == 4)) { /* sizes that the compiler knows */
        const int32_t row = wide * stored;
        for (int32_t x = 0; x < wide; x++, source += stored, to += 3 * stored)
            for (int32_t ky = 0; ky < 3; ky++) {
                if (stored == 2)
                    memcpy(to + 2 * ky, source + ky * row, 2);
                else
                    memcpy(to + 4 * ky, source + ky * row, 4);
            }
        return;
    }
    for (int32_t x = 0; x < wide; x++)
        for (int32_t ky = 0; ky < kernel; ky++, to += stored)
            memcpy(to, source + (ky * wide + x) * stored, (size_t)stored);
}

TARGET static void NAME(signs)(NAME(at) at, const uint8_t *weights)
{
    const hybrid_conv_t *conv = at.conv;
    const int32_t down = at.row_bytes, mixed = conv->source_width * conv->kernel * conv->stored;
    uint8_t *scratch = at.arena + HYBRID_SCRATCH;
    at.column_bytes *= conv->kernel;
    at.row_bytes = mixed;
    for (at.y = 0; at.y < conv->height; at.y++) {
        const uint8_t *source = at.arena + conv->source + at.y * conv->pool * down, *w = weights;
        for (int32_t p = 0; p < conv->pool; p++)
            NAME(columns_of)(conv, source + p * down, scratch + p * mixed);
        at.rows = scratch;
        for (at.channel = 0; at.channel < conv->channels; at.channel += LANES) {
            NAME(row_of_signs)(at, w);
            w += at.tile_bytes;
        }
    }
}

TARGET static void NAME(narrow)(const hybrid_conv_t *conv, unsigned char *arena,
                                const uint8_t *weights)
{
    const int32_t down = conv->stride * conv->source_width * conv->stored;
    NAME(at) at = {conv, arena, 0, 0, 0, 0, NAME(tile_bytes)(conv), down,
                   conv->stride * conv->stored};
    if (conv->binary) {
        NAME(signs)(at, weights);
        return;
    }
    while (at.channel < conv->channels) { /* a few weights stay near for all rows */
        const int32_t tiles = conv->channels - at.channel > LANES ? 2 : 1;
        for (at.y = 0; at.y < conv->height; at.y++) {
            at.rows = arena + conv->source + at.y * conv->pool * down;
            if (tiles == 2)
                NAME(row_of_two)(at, weights);
            else
                NAME(row_of_one)(at, weights);
        }
        at.channel += tiles * LANES;
        weights += tiles * at.tile_bytes;
    }
}

/* ---- weights of many bits: sums of whole numbers, exact as double ---- */

TARGET ALWAYS void NAME(fine_block)(NAME(at) at, const double *codes, const double *weights,
                                    const int32_t count)
{
    const hybrid_conv_t *conv = at.conv;
    const int32_t kernel = conv->kernel, inputs = conv->inputs, stored = conv->stored;
    const int32_t step = conv->stride * stored, row = conv->source_width * stored;
    VD low[4], high[4];
    VF v[4];
    UNROLL
    for (int32_t p = 0; p < count; p++) low[p] = high[p] = d_zero();
    for (int32_t tap = 0; tap < kernel * kernel; tap++) {
        const int32_t y = at.y * conv->stride + tap / kernel;
        const double *in = codes + y % kernel * row + at.x * step + tap % kernel * stored;
        for (int32_t i = 0; i < inputs; i++, weights += LANES) {
            const VD w = d_load(weights), next = d_load(weights + HALF);
            UNROLL
            for (int32_t p = 0; p < count; p++) {
                const VD code = d_set(in[i + p * step]);
                low[p] = d_fma(code, w, low[p]);
                high[p] = d_fma(code, next, high[p]);
            }
        }
    }
    UNROLL
    for (int32_t p = 0; p < count; p++) v[p] = d_join(low[p], high[p]);
    NAME(finish)(&at, v, count);
}

TARGET static void NAME(fine)(const hybrid_conv_t *conv, unsigned char *arena,
                              const double *weights)
{
    const int32_t kernel = conv->kernel, row = conv->source_width * conv->stored;
    const int32_t *wide = (const int32_t *)(const void *)(arena + conv->source);
    const uint8_t *bytes = arena + conv->source;
    double *codes = (double *)(void *)(arena + HYBRID_SCRATCH); /* the last rows, row % kernel */
    int32_t next = 0;
    NAME(at) at = {conv, arena, 0, 0, 0, 0, 0, 0, 0};
    for (at.y = 0; at.y < conv->height; at.y++) {
        const int32_t first = at.y * conv->stride;
        const double *w = weights;
        for (next = next > first ? next : first; next < first + kernel; next++) {
            double *to = codes + next % kernel * row;
            if (conv->source_wide)
                for (int32_t i = 0; i < row; i++) to[i] = wide[next * row + i];
            else
                for (int32_t i = 0; i < row; i++) to[i] = bytes[next * row + i];
        }
        for (at.channel = 0; at.channel < conv->channels; at.channel += LANES) {
            for (at.x = 0; at.x + 4 <= conv->width; at.x += 4) NAME(fine_block)(at, codes, w, 4);
            for (; at.x < conv->width; at.x++) NAME(fine_block)(at, codes, w, 1);
            w += kernel * kernel * conv->inputs * LANES;
        }
    }
}

#ifdef DOT
/* The same for codes of 8 bits, whose weights are there as three digits to the base of 256. */
TARGET ALWAYS void NAME(digits_block)(NAME(at) at, const uint8_t *weights, const int32_t count)
{
    VI sums[3 * 4];
    VF v[4];
    at.rows += at.x * at.column_bytes;
    NAME(products)(&at, (const int8_t *)weights, sums, count, 3, 1);
    UNROLL
    for (int32_t p = 0; p < count; p++) {
        const VI high = v_plus(v_left(sums[3 * p + 2], 8), sums[3 * p + 1]);
        v[p] = v_float(v_plus(v_left(high, 8), sums[3 * p]));
    }
    NAME(finish)(&at, v, count);
}

TARGET static void NAME(digits)(const hybrid_conv_t *conv, unsigned char *arena,
                                const uint8_t *weights)
{
    const int32_t tile_bytes = conv->kernel * conv->kernel * conv->stored * LANES;
    const int32_t down = conv->stride * conv->source_width * conv->stored, width = conv->width;
    NAME(at) at = {conv, arena, 0, 0, 0, 0, tile_bytes, down, conv->stride * conv->stored};
    for (; at.channel < conv->channels; at.channel += LANES, weights += 3 * tile_bytes)
        for (at.y = 0; at.y < conv->height; at.y++) {
            at.rows = arena + conv->source + at.y * down;
            for (at.x = 0; at.x + MOST / 4 <= width; at.x += MOST / 4)
                NAME(digits_block)(at, weights, MOST / 4);
            for (; at.x < width; at.x++) NAME(digits_block)(at, weights, 1);
        }
}

static void NAME(unpack_digits)(const hybrid_conv_t *conv, int8_t *to)
{
    const int32_t square = conv->kernel * conv->kernel, inputs = conv->inputs;
    const int32_t tile_bytes = square * conv->stored * LANES, tiles = 3 * tile_bytes;
    memset(to, 0, (size_t)((conv->channels + LANES - 1) / LANES * tiles));
    for (int32_t i = 0; i < square * inputs; i++)
        for (int32_t c = 0; c < conv->channels; c++) {
            const int32_t place = i / inputs * conv->stored + i % inputs;
            int8_t *at = to + c / LANES * tiles + place / 4 * 4 * LANES + c % LANES * 4 + place % 4;
            int32_t left = conv->fine[i * conv->channels + c];
            for (int32_t digit = 0; digit < 3; digit++, at += tile_bytes) {
                const int32_t low = ((left + 128) & 255) - 128;
                *at = (int8_t)low;
                left = (left - low) / 256;
            }
        }
}
#endif

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

/* ---- exits: sums of codes times weights, exact as double ---- */

TARGET static void NAME(head)(const hybrid_head_t *one, unsigned char *arena, int64_t *logits)
{
    const int32_t *x = (const int32_t *)(const void *)(arena + one->source);
    const int32_t rows = one->height / one->pool, columns = one->width / one->pool;
    const int32_t inputs = rows * columns * one->channels;
    double *sums = (double *)(void *)(arena + HYBRID_SCRATCH);
    memset(sums, 0, (size_t)inputs * sizeof *sums);
    for (int32_t y = 0; y < rows * one->pool; y++)
        for (int32_t s = 0; s < columns * one->pool; s++) {
            const int32_t *from = x + (y * one->width + s) * one->channels;
            double *to = sums + (y / one->pool * columns + s / one->pool) * one->channels;
            for (int32_t c = 0; c < one->channels; c++) to[c] += from[c];
        }
    for (int32_t k = 0; k < HYBRID_CLASSES; k += 2 * HALF) {
        const int32_t left = HYBRID_CLASSES - k;
        const DM m = d_mask(left), n = d_mask(left > HALF ? left - HALF : 0);
        VD low[4], high[4];
        double found[2 * HALF];
        UNROLL
        for (int32_t j = 0; j < 4; j++) low[j] = high[j] = d_zero();
        for (int32_t i = 0; i < inputs; i += 4)
            UNROLL
            for (int32_t j = 0; j < 4; j++) {
                const int32_t *w = one->weights + (i + j) * HYBRID_CLASSES + k;
                if (i + j >= inputs) break;
                low[j] = d_fma(d_set(sums[i + j]), d_of(w, m), low[j]);
                high[j] = d_fma(d_set(sums[i + j]), d_of(w + HALF, n), high[j]);
            }
        d_store(found, d_add(d_add(low[0], low[1]), d_add(low[2], low[3])));
        d_store(found + HALF, d_add(d_add(high[0], high[1]), d_add(high[2], high[3])));
        for (int32_t j = 0; j < 2 * HALF && j < left; j++)
            logits[k + j] = one->bias[k + j] + (int64_t)found[j];
    }
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
