/* Batch norm, sum and (shifted) PReLU in one pass over memory each way, for bfloat16 tensors whose
   channels are the last axis and a multiple of 16.

   m = scale x + shift + s;  y = (m > 0 ? m : slope m) + after
   with scale = gamma / deviation and shift = beta - scale mean - before. */

#include <stdint.h>

#define WIDE 16
#define CHUNK 64 /* rows that stay in the first cache */

typedef float wide_t __attribute__((vector_size(4 * WIDE)));
typedef int32_t mask_t __attribute__((vector_size(4 * WIDE)));
typedef uint32_t bits_t __attribute__((vector_size(4 * WIDE)));
typedef uint16_t half_t __attribute__((vector_size(2 * WIDE), aligned(2)));
typedef float load_t __attribute__((vector_size(4 * WIDE), aligned(4)));

static inline wide_t read(const uint16_t *from)
{
    return (wide_t)(__builtin_convertvector(*(const half_t *)from, bits_t) << 16);
}

static inline void write(uint16_t *to, wide_t value) /* to the nearest, ties to even */
{
    bits_t bits = (bits_t)value;
    bits += 0x7fff + ((bits >> 16) & 1);
    *(half_t *)to = __builtin_convertvector(bits >> 16, half_t);
}

static inline wide_t choose(mask_t where, wide_t a, wide_t b)
{
    return (wide_t)(((mask_t)a & where) | ((mask_t)b & ~where));
}

static inline wide_t of(const float *values) { return *(const load_t *)values; }

static inline void gather(double *sums, wide_t part)
{
    for (int i = 0; i < WIDE; i++) sums[i] += part[i];
}

/* sums: of x and of x squared, (2, channels), zero at first. */
void hybrid_norm_sums(const uint16_t *x, int64_t rows, int64_t channels, double *sums)
{
    for (int64_t from = 0; from < rows; from += CHUNK)
        for (int64_t c = 0; c < channels; c += WIDE) {
            int64_t to = from + CHUNK < rows ? from + CHUNK : rows;
            wide_t sum = {0}, squares = {0};
            for (int64_t r = from; r < to; r++) {
                wide_t v = read(x + r * channels + c);
                sum += v;
                squares += v * v;
            }
            gather(sums + c, sum);
            gather(sums + channels + c, squares);
        }
}

/* values: scale, shift, slope, after, (4, channels). s may be null. */
void hybrid_norm_forward(const uint16_t *x, const uint16_t *s, const float *values, int64_t rows,
                         int64_t channels, uint16_t *y)
{
    for (int64_t from = 0; from < rows; from += CHUNK)
        for (int64_t c = 0; c < channels; c += WIDE) {
            int64_t to = from + CHUNK < rows ? from + CHUNK : rows;
            wide_t scale = of(values + c), shift = of(values + channels + c);
            wide_t slope = of(values + 2 * channels + c), after = of(values + 3 * channels + c);
            for (int64_t r = from; r < to; r++) {
                wide_t m = read(x + r * channels + c) * scale + shift;
                if (s) m += read(s + r * channels + c);
                write(y + r * channels + c, choose(m > 0, m, m * slope) + after);
            }
        }
}

/* sums: of the gradient of m, of that times x, of g, and of g m where m <= 0, (4, channels). */
void hybrid_norm_gradients(const uint16_t *x, const uint16_t *s, const uint16_t *g,
                           const float *values, int64_t rows, int64_t channels, double *sums)
{
    for (int64_t from = 0; from < rows; from += CHUNK)
        for (int64_t c = 0; c < channels; c += WIDE) {
            int64_t to = from + CHUNK < rows ? from + CHUNK : rows;
            wide_t scale = of(values + c), shift = of(values + channels + c);
            wide_t slope = of(values + 2 * channels + c), zero = {0};
            wide_t of_m = {0}, of_mx = {0}, of_y = {0}, of_slope = {0};
            for (int64_t r = from; r < to; r++) {
                wide_t v = read(x + r * channels + c), grad = read(g + r * channels + c);
                wide_t m = v * scale + shift;
                if (s) m += read(s + r * channels + c);
                wide_t inner = choose(m > 0, grad, grad * slope);
                of_m += inner;
                of_mx += inner * v;
                of_y += grad;
                of_slope += choose(m > 0, zero, grad * m);
            }
            gather(sums + c, of_m);
            gather(sums + channels + c, of_mx);
            gather(sums + 2 * channels + c, of_y);
            gather(sums + 3 * channels + c, of_slope);
        }
}

/* values: scale, shift, slope, and b and d of dx = scale dm + b x + d, (5, channels). dx may be g,
   ds (null without s) may not. */
void hybrid_norm_backward(const uint16_t *x, const uint16_t *s, const uint16_t *g,
                          const float *values, int64_t rows, int64_t channels, uint16_t *dx,
                          uint16_t *ds)
{
    for (int64_t from = 0; from < rows; from += CHUNK)
        for (int64_t c = 0; c < channels; c += WIDE) {
            int64_t to = from + CHUNK < rows ? from + CHUNK : rows;
            wide_t scale = of(values + c), shift = of(values + channels + c);
            wide_t slope = of(values + 2 * channels + c), b = of(values + 3 * channels + c);
            wide_t d = of(values + 4 * channels + c);
            for (int64_t r = from; r < to; r++) {
                wide_t v = read(x + r * channels + c), grad = read(g + r * channels + c);
                wide_t m = v * scale + shift;
                if (s) m += read(s + r * channels + c);
                wide_t inner = choose(m > 0, grad, grad * slope);
                write(dx + r * channels + c, inner * scale + v * b + d);
                if (ds) write(ds + r * channels + c, inner);
            }
        }
}
