/* The kernel for every processor: plain C99, with the two-products instruction of Armv7E-M. */
#include <string.h>

#include "hybrid_steps.h"

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#define ACROSS 2 /* output channels of a block: what the registers hold */
#else
#define ACROSS 4
#endif
#define TILE 16 /* output channels whose signs are compared side by side */

ALWAYS const float *adds(const hybrid_conv_t *conv, int32_t y, int32_t x)
{
    return conv->add + (conv->rows[y] * conv->kinds + conv->columns[x]) * conv->channels;
}

/* ---- weights of 1 to 8 bits ---- */

/* Codes that fill whole bytes. */
ALWAYS void spread_bytes(const uint8_t *from, int16_t *to, int32_t count, const int32_t bits,
                         const int32_t spread, const int32_t lowest)
{
    for (; count > 0; count -= 8 / bits, to += 8 / bits) {
        const int32_t byte = *from++;
        UNROLL
        for (int32_t j = 0; j < 8 / bits; j++)
            to[j] = (int16_t)((byte >> j * bits & ((1 << bits) - 1)) * spread + lowest);
    }
}

void hybrid_unpack_channel(const hybrid_conv_t *conv, int32_t channel, int16_t *to)
{
    const uint8_t *from = conv->packed + channel * hybrid_packed_bytes(conv);
    const uint32_t bits = (uint32_t)conv->bits, mask = (1u << bits) - 1u;
    const int32_t spread = conv->spread, lowest = conv->lowest;
    const int32_t square = conv->kernel * conv->kernel;
    uint32_t held = 0, left = 0;
    if (conv->inputs == conv->stored && (bits == 2 || bits == 4 || bits == 8)) {
        if (bits == 4)
            spread_bytes(from, to, square * conv->stored, 4, 1, -8);
        else if (bits == 2)
            spread_bytes(from, to, square * conv->stored, 2, 2, -3);
        else
            spread_bytes(from, to, square * conv->stored, 8, 1, -128);
        return;
    }
    for (int32_t tap = 0; tap < square; tap++, to += conv->stored) {
        for (int32_t i = 0; i < conv->inputs; i++) {
            if (left < bits) {
                held |= (uint32_t)*from++ << left;
                left += 8u;
            }
            to[i] = (int16_t)((int32_t)(held & mask) * spread + lowest);
            held >>= bits;
            left -= bits;
        }
        for (int32_t i = conv->inputs; i < conv->stored; i++) to[i] = 0;
    }
}

/* Sums of two positions of the row for ACROSS output channels. */
ALWAYS void dots(const int16_t *one, const int16_t *other, const int16_t *w, int32_t length,
                 int32_t *sums)
{
#if defined(__ARM_FEATURE_SIMD32)
    const int16_t *v = w + length;
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (int32_t i = length / 4; i > 0; i--) {
        UNROLL
        for (int32_t j = 0; j < 2; j++, one += 2, other += 2, w += 2, v += 2) {
            int32_t p, q, r, s;
            memcpy(&p, one, 4);
            memcpy(&q, other, 4);
            memcpy(&r, w, 4);
            memcpy(&s, v, 4);
            a = __smlad(p, r, a);
            b = __smlad(p, s, b);
            c = __smlad(q, r, c);
            d = __smlad(q, s, d);
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
#else
    const int16_t *w1 = w + length, *w2 = w1 + length, *w3 = w2 + length;
    int32_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (int32_t i = 0; i < length; i++) {
        a += one[i] * w[i];
        b += one[i] * w1[i];
        c += one[i] * w2[i];
        d += one[i] * w3[i];
        e += other[i] * w[i];
        f += other[i] * w1[i];
        g += other[i] * w2[i];
        h += other[i] * w3[i];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    sums[4] = e;
    sums[5] = f;
    sums[6] = g;
    sums[7] = h;
#endif
}

/* The rows under a row of the kernel, columns first: a window is then one run of numbers. */
static void columns_of(const hybrid_conv_t *conv, const uint8_t *source, int32_t y, int16_t *to)
{
    const int32_t kernel = conv->kernel, stored = conv->stored;
    source += y * conv->stride * conv->source_width * stored;
    for (int32_t x = 0; x < conv->source_width; x++)
        for (int32_t ky = 0; ky < kernel; ky++, to += stored) {
            const uint8_t *from = source + (ky * conv->source_width + x) * stored;
            for (int32_t c = 0; c < stored; c++) to[c] = from[c];
        }
}

ALWAYS int32_t padded(int32_t channels) { return (channels + 3) / 4 * 4; }

static void row_of_codes(const hybrid_conv_t *conv, unsigned char *arena, int32_t y,
                         const int16_t *weights, int32_t *sums)
{
    const int32_t length = conv->kernel * conv->kernel * conv->stored;
    const int32_t step = conv->stride * conv->kernel * conv->stored;
    const int32_t last = conv->row_width - 1, across = padded(conv->channels);
    int16_t *rows = (int16_t *)(void *)(arena + HYBRID_SCRATCH);
    int16_t *own = rows + conv->source_width * conv->kernel * conv->stored;
    int32_t some[2 * ACROSS];
    columns_of(conv, arena + conv->source, y, rows);
    for (int32_t c = 0; c < conv->channels; c += ACROSS) {
        const int16_t *w = own;
        if (weights)
            w = weights + c * length;
        else
            for (int32_t i = 0; i < ACROSS; i++)
                hybrid_unpack_channel(conv, c + i < conv->channels ? c + i : c, own + i * length);
        for (int32_t x = 0; x <= last; x += 2) {
            const int32_t next = x < last ? x + 1 : x;
            dots(rows + x * step, rows + next * step, w, length, some);
            for (int32_t i = 0; i < ACROSS; i++) {
                sums[x * across + c + i] = some[i];
                sums[next * across + c + i] = some[(next - x) * ACROSS + i];
            }
        }
    }
}

ALWAYS uint32_t byte_ones(uint32_t word) /* how many bits of each byte are 1 */
{
    word -= word >> 1 & 0x55555555u;
    word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
    return (word + (word >> 4)) & 0x0F0F0F0Fu;
}

ALWAYS uint32_t byte_sum(uint32_t word)
{
    word = (word & 0x00FF00FFu) + (word >> 8 & 0x00FF00FFu);
    return (word + (word >> 16)) & 0xFFFFu;
}

/* How many bits of a window differ from the weights of TILE channels, which lie side by side, so
 * that a compiler makes vectors of them. A full adder takes two words at a time to bits that count
 * one, which go on, and bits that count two, which are counted at once. */
static void differences(const uint32_t *window, const uint32_t *w, int32_t words, uint32_t *differ)
{
    uint32_t ones[TILE], some[TILE];
    int32_t k = words % 2;
    for (int32_t c = 0; c < TILE; c++) {
        ones[c] = k ? window[0] ^ w[c] : 0u;
        differ[c] = 0;
    }
    for (w += k * TILE; k < words;) {
        const int32_t end = k + 62 < words ? k + 62 : words; /* 31 * 8 twos fit a byte */
        memset(some, 0, sizeof some);
        for (; k < end; k += 2, w += 2 * TILE)
            for (int32_t c = 0; c < TILE; c++) {
                const uint32_t a = window[k] ^ w[c], b = window[k + 1] ^ w[TILE + c];
                const uint32_t half = ones[c] ^ a;
                some[c] += byte_ones((ones[c] & a) | (half & b));
                ones[c] = half ^ b;
            }
        for (int32_t c = 0; c < TILE; c++) differ[c] += 2u * byte_sum(some[c]);
    }
    for (int32_t c = 0; c < TILE; c++) differ[c] += byte_sum(byte_ones(ones[c]));
}

static void position_of_signs(const hybrid_conv_t *conv, const uint32_t *window,
                              const uint32_t *weights, int32_t *sums)
{
    const int32_t words = hybrid_packed_bytes(conv) / 4, channels = conv->channels;
    const int32_t total = conv->kernel * conv->kernel * conv->inputs;
    for (int32_t c = 0; c < channels; c += TILE, weights += words * TILE) {
        uint32_t differ[TILE];
        const int32_t left = channels - c < TILE ? channels - c : TILE;
        differences(window, weights, words, differ);
        for (int32_t i = 0; i < left; i++) sums[c + i] = total - 2 * (int32_t)differ[i];
    }
}

/* The same with the weights as they are packed. */
static void position_of_packed(const hybrid_conv_t *conv, const uint32_t *window, int32_t *sums)
{
    const int32_t words = hybrid_packed_bytes(conv) / 4;
    const int32_t total = conv->kernel * conv->kernel * conv->inputs;
    const uint8_t *w = conv->packed;
    for (int32_t c = 0; c < conv->channels; c++) {
        uint32_t differ = 0;
        for (int32_t k = 0; k < words; k++, w += 4) {
            uint32_t word;
            memcpy(&word, w, 4);
            differ += byte_ones(window[k] ^ word) * 0x01010101u >> 24;
        }
        sums[c] = total - 2 * (int32_t)differ;
    }
}

static void row_of_signs(const hybrid_conv_t *conv, unsigned char *arena, int32_t y,
                         const uint32_t *weights, int32_t *sums)
{
    const int32_t kernel = conv->kernel, stored = conv->stored, across = padded(conv->channels);
    const size_t bytes = (size_t)(kernel * kernel * stored);
    uint8_t *rows = arena + HYBRID_SCRATCH;
    uint32_t window[HYBRID_MAX_WINDOW / 4 + 1] = {0};
    hybrid_columns(conv, arena + conv->source + y * conv->stride * conv->source_width * stored,
                   rows);
    for (int32_t x = 0; x < conv->row_width; x++, sums += across) {
        memcpy(window, rows + x * conv->stride * kernel * stored, bytes);
        if (weights)
            position_of_signs(conv, window, weights, sums);
        else
            position_of_packed(conv, window, sums);
    }
}

static void narrow(const hybrid_conv_t *conv, unsigned char *arena, const void *weights)
{
    const int32_t across = padded(conv->channels), pool = conv->pool;
    const int32_t row = conv->row_width * across;
    int32_t *sums = (int32_t *)(void *)(arena + HYBRID_SUMS);
    float values[HYBRID_MAX_CHANNELS];
    for (int32_t y = 0; y < conv->height; y++) {
        for (int32_t p = 0; p < pool; p++) {
            if (conv->binary)
                row_of_signs(conv, arena, y * pool + p, (const uint32_t *)weights, sums + p * row);
            else
                row_of_codes(conv, arena, y * pool + p, (const int16_t *)weights, sums + p * row);
        }
        for (int32_t x = 0; x < conv->width; x++) {
            int32_t *best = sums + x * pool * across;
            for (int32_t i = 1; i < pool * pool; i++) {
                const int32_t *other = best + i / pool * row + i % pool * across;
                for (int32_t c = 0; c < conv->channels; c++)
                    best[c] = best[c] > other[c] ? best[c] : other[c];
            }
            for (int32_t c = 0; c < conv->channels; c++) values[c] = (float)best[c];
            hybrid_finish(conv, arena, values, adds(conv, y, x), y, x);
        }
    }
}

/* ---- weights of many bits: stem and shortcuts ---- */

ALWAYS int32_t code_at(const hybrid_conv_t *conv, const unsigned char *arena, int32_t at)
{
    if (conv->source_wide) return ((const int32_t *)(const void *)(arena + conv->source))[at];
    return arena[conv->source + at];
}

/* Sums below 2^53 are exact as double too, which processors with vectors multiply faster than
 * int64; their weights are unpacked as such. */
static void fine_doubles(const hybrid_conv_t *conv, const unsigned char *arena, int32_t source,
                         const double *w, float *values)
{
    const int32_t channels = conv->channels, row = conv->kernel * conv->stored;
    double sums[HYBRID_MAX_CHANNELS];
    for (int32_t c = 0; c < channels; c++) sums[c] = 0;
    for (int32_t ky = 0; ky < conv->kernel; ky++, source += conv->source_width * conv->stored)
        for (int32_t i = 0; i < row; i++) {
            const double code = code_at(conv, arena, source + i);
            if (i % conv->stored >= conv->inputs) continue;
            for (int32_t c = 0; c < channels; c++) sums[c] += code * w[c];
            w += channels;
        }
    for (int32_t c = 0; c < channels; c++) values[c] = (float)sums[c];
}

static void fine_wholes(const hybrid_conv_t *conv, const unsigned char *arena, int32_t source,
                        float *values)
{
    const int32_t channels = conv->channels, row = conv->kernel * conv->stored, *w = conv->fine;
    int64_t sums[HYBRID_MAX_CHANNELS];
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int32_t ky = 0; ky < conv->kernel; ky++, source += conv->source_width * conv->stored)
        for (int32_t i = 0; i < row; i++) {
            const int32_t code = code_at(conv, arena, source + i);
            if (i % conv->stored >= conv->inputs) continue;
            for (int32_t c = 0; c < channels; c++) sums[c] += (int64_t)code * w[c];
            w += channels;
        }
    for (int32_t c = 0; c < channels; c++) values[c] = (float)sums[c];
}

static void fine(const hybrid_conv_t *conv, unsigned char *arena, const double *weights)
{
    float values[HYBRID_MAX_CHANNELS];
    for (int32_t y = 0; y < conv->height; y++)
        for (int32_t x = 0; x < conv->width; x++) {
            const int32_t at = (y * conv->source_width + x) * conv->stride * conv->stored;
            if (weights)
                fine_doubles(conv, arena, at, weights, values);
            else
                fine_wholes(conv, arena, at, values);
            hybrid_finish(conv, arena, values, adds(conv, y, x), y, x);
        }
}

static void convolve(const hybrid_conv_t *conv, unsigned char *arena, const void *weights)
{
    if (conv->packed)
        narrow(conv, arena, weights);
    else
        fine(conv, arena, (const double *)weights);
}

static void unpack(const hybrid_conv_t *conv, void *weights)
{
    const int32_t square = conv->kernel * conv->kernel, channels = conv->channels;
    if (!conv->packed) {
        double *to = (double *)weights;
        for (int32_t i = 0; i < square * conv->inputs * channels; i++) to[i] = conv->fine[i];
    } else if (conv->binary) {
        const int32_t bytes = hybrid_packed_bytes(conv), tile = bytes * TILE;
        memset(weights, 0, (size_t)((channels + TILE - 1) / TILE * tile));
        for (int32_t c = 0; c < channels; c++)
            for (int32_t i = 0; i < bytes; i += 4)
                memcpy((uint8_t *)weights + c / TILE * tile + i * TILE + c % TILE * 4,
                       conv->packed + c * bytes + i, 4);
    } else {
        int16_t *to = (int16_t *)weights;
        for (int32_t c = 0; c < padded(channels); c++)
            hybrid_unpack_channel(conv, c < channels ? c : 0, to + c * square * conv->stored);
    }
}

static void head(const hybrid_head_t *one, unsigned char *arena, int64_t *logits)
{
    const int32_t *x = (const int32_t *)(const void *)(arena + one->source), *w = one->weights;
    const int32_t rows = one->height / one->pool, columns = one->width / one->pool;
    for (int32_t k = 0; k < HYBRID_CLASSES; k++) logits[k] = one->bias[k];
    for (int32_t r = 0; r < rows; r++)
        for (int32_t s = 0; s < columns; s++)
            for (int32_t c = 0; c < one->channels; c++, w += HYBRID_CLASSES) {
                const int32_t *at = x + (r * one->width + s) * one->pool * one->channels + c;
                int64_t sum = 0;
                for (int32_t p = 0; p < one->pool; p++)
                    for (int32_t q = 0; q < one->pool; q++)
                        sum += at[(p * one->width + q) * one->channels];
                for (int32_t k = 0; k < HYBRID_CLASSES; k++) logits[k] += sum * w[k];
            }
}

const hybrid_kernel_t hybrid_portable = {convolve, head, unpack};
