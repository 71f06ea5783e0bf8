/* Part of hybrid_vector.h: convolutions whose weights have 1 to 8 bits. */

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
#ifndef DOT
    const VI one = _mm256_set1_epi16(1);
    VI some[MOST]; /* in 16 bits, over the rows of the kernel, while there is room */
    int32_t room = conv->pairs;
    UNROLL
    for (int32_t i = 0; i < count * across; i++) some[i] = v_zero();
#endif
    UNROLL
    for (int32_t i = 0; i < count * across; i++) sums[i] = v_zero();
    for (int32_t ky = 0; ky < kernel; ky++, row += conv->source_width * stored) {
        const uint8_t *in = row;
#ifdef DOT
        for (int32_t k = 0; k < quads; k++, in += 4, weights += LANES * 4) {
            VI w[4];
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
        for (int32_t left = quads; left > 0;) {
            const int32_t now = left < room ? left : room;
            for (int32_t k = now; k > 0; k--, in += 4, weights += LANES * 4) {
                VI w[4];
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
            }
            left -= now;
            room -= now;
            if (room) continue;
            room = conv->pairs;
            UNROLL
            for (int32_t i = 0; i < count * across; i++) {
                sums[i] = v_plus(sums[i], _mm256_madd_epi16(some[i], one));
                some[i] = v_zero();
            }
        }
#endif
    }
#ifndef DOT
    UNROLL
    for (int32_t i = 0; i < count * across; i++)
        sums[i] = v_plus(sums[i], _mm256_madd_epi16(some[i], one));
#endif
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
                                     const int32_t count, const int32_t words)
{
    const hybrid_conv_t *conv = at->conv;
    const int32_t bytes = conv->kernel * conv->kernel * conv->stored;
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
                               const int32_t across, const int32_t square, const int32_t words)
{
    const int32_t pool = at.conv->pool;
    const uint8_t *corner = at.rows + at.x * pool * at.column_bytes;
    VI best[MOST], other[MOST];
    for (int32_t i = 0; i < (square == 1 ? pool * pool : 1); i++) {
        VI *to = i ? other : best;
        at.rows = corner + i / pool * at.row_bytes + i % pool * at.column_bytes;
        if (words)
            NAME(differences)(&at, weights, to, count, words);
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

/* One row of the output; words of a window of signs, 0 of codes. */
#define WHILE(count, across, square, words)          \
    for (; at.x + (count) <= width; at.x += (count)) \
        NAME(block)(at, weights, count, across, square, words);

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
    const int32_t width = at.conv->width, words = hybrid_packed_bytes(at.conv) / 4;
    if (words == 5) { /* sizes that the compiler knows: 3 by 3 of 16 and of 32 channels */
        WHILE(8, 1, 1, 5)
    } else if (words == 9) {
        WHILE(8, 1, 1, 9)
    } else {
        WHILE(8, 1, 1, words)
    }
    WHILE(1, 1, 1, words)
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
            hybrid_columns(conv, source + p * down, scratch + p * mixed);
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
