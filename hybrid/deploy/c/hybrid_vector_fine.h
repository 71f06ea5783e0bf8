/* Part of hybrid_vector.h: convolutions whose weights have many bits, and exits. */

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
/* The same for codes of 8 bits, whose weights are there as three or four digits to the base of 256;
 * neighbouring digits' sums fit 32 bits together. */
TARGET ALWAYS void NAME(digits_block)(NAME(at) at, const uint8_t *weights, const int32_t count,
                                      const int32_t digits)
{
    VI sums[4 * 4];
    VF v[4];
    at.rows += at.x * at.column_bytes;
    NAME(products)(&at, (const int8_t *)weights, sums, count, digits, 1);
    UNROLL
    for (int32_t p = 0; p < count; p++) {
        const VI *of = sums + digits * p;
        const VI low = v_plus(of[0], v_left(of[1], 8));
        const VI high = digits == 3 ? of[2] : v_plus(of[2], v_left(of[3], 8));
        const VD first = d_fma(d_low(high), d_set(65536.0), d_low(low));
        const VD second = d_fma(d_high(high), d_set(65536.0), d_high(low));
        v[p] = d_join(first, second);
    }
    NAME(finish)(&at, v, count);
}

TARGET static void NAME(digits)(const hybrid_conv_t *conv, unsigned char *arena,
                                const uint8_t *weights)
{
    const int32_t tile_bytes = conv->kernel * conv->kernel * conv->stored * LANES;
    const int32_t down = conv->stride * conv->source_width * conv->stored, width = conv->width;
    NAME(at) at = {conv, arena, 0, 0, 0, 0, tile_bytes, down, conv->stride * conv->stored};
    for (; at.channel < conv->channels; at.channel += LANES, weights += conv->digits * tile_bytes)
        for (at.y = 0; at.y < conv->height; at.y++) {
            at.rows = arena + conv->source + at.y * down;
            at.x = 0;
            if (conv->digits == 3)
                for (; at.x + MOST / 4 <= width; at.x += MOST / 4)
                    NAME(digits_block)(at, weights, MOST / 4, 3);
            else
                for (; at.x + MOST / 4 <= width; at.x += MOST / 4)
                    NAME(digits_block)(at, weights, MOST / 4, 4);
            for (; at.x < width; at.x++) NAME(digits_block)(at, weights, 1, conv->digits);
        }
}

static void NAME(unpack_digits)(const hybrid_conv_t *conv, int8_t *to)
{
    const int32_t square = conv->kernel * conv->kernel, inputs = conv->inputs;
    const int32_t tile_bytes = square * conv->stored * LANES, tiles = conv->digits * tile_bytes;
    memset(to, 0, (size_t)((conv->channels + LANES - 1) / LANES * tiles));
    for (int32_t i = 0; i < square * inputs; i++)
        for (int32_t c = 0; c < conv->channels; c++) {
            const int32_t place = i / inputs * conv->stored + i % inputs;
            int8_t *at = to + c / LANES * tiles + place / 4 * 4 * LANES + c % LANES * 4 + place % 4;
            int32_t left = conv->fine[i * conv->channels + c];
            for (int32_t digit = 0; digit < conv->digits; digit++, at += tile_bytes) {
                const int32_t low = ((left + 128) & 255) - 128;
                *at = (int8_t)low;
                left = (left - low) / 256;
            }
        }
}
#endif

/* ---- exits: sums of codes times weights, exact as double ---- */

/* Sums of a square, of which up to 2 * HALF channels are written that do not exist. */
TARGET ALWAYS void NAME(pooled)(const hybrid_head_t *one, const int32_t *from, double *to)
{
    for (int32_t c = 0; c < one->channels; c += 2 * HALF) {
        const int32_t left = one->channels - c;
        const DM m = d_mask(left), n = d_mask(left > HALF ? left - HALF : 0);
        VD low = d_zero(), high = d_zero();
        for (int32_t p = 0; p < one->pool; p++)
            for (int32_t q = 0; q < one->pool; q++) {
                const int32_t *at = from + (p * one->width + q) * one->channels + c;
                low = d_add(low, d_of(at, m));
                high = d_add(high, d_of(at + HALF, n));
            }
        d_store(to + c, low);
        d_store(to + c + HALF, high);
    }
}

TARGET static void NAME(head)(const hybrid_head_t *one, unsigned char *arena, int64_t *logits)
{
    const int32_t *x = (const int32_t *)(const void *)(arena + one->source);
    const int32_t rows = one->height / one->pool, columns = one->width / one->pool;
    const int32_t inputs = rows * columns * one->channels;
    double *sums = (double *)(void *)(arena + HYBRID_SCRATCH);
    for (int32_t place = 0; place < rows * columns; place++)
        NAME(pooled)(one, x + (place / columns * one->width + place % columns) * one->pool
                              * one->channels, sums + place * one->channels);
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
