/* What the files of the engine share: the tables that hybrid_net.c fills in, and the kernels. */
#ifndef HYBRID_STEPS_H
#define HYBRID_STEPS_H

#include <stdint.h>
#include <string.h>

#include "hybrid_edge.h"

#ifdef __FAST_MATH__
#error "-ffast-math changes the answers; compile without it."
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#if defined(__GNUC__)
#define ALWAYS static inline __attribute__((always_inline))
#else
#define ALWAYS static inline
#endif
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

enum { HYBRID_FLOATS = 0, HYBRID_WIDE = 1, HYBRID_CODES = 2, HYBRID_SIGNS = 3 };

typedef struct {
    int32_t kind;
    int32_t offset; /* in the arena */
    int32_t border; /* pixels around the codes, filled with `fill` */
    int32_t stored; /* bytes of a pixel: of codes, the channels rounded up to fours; bits of signs */
    int32_t every;  /* of wide codes: the rows and columns that are kept */
    float scale, low, high;
    const float *thresholds;
    const uint8_t *fill; /* of one pixel */
} hybrid_output_t;

/* Weights of 1 to 8 bits are packed by output channel, each from a byte on, in the order
 * [column][row][input]; a code stands for code * spread + lowest. Of binary convolutions they are
 * bits in whole words, as the source stores them. Finer ones are int32 [row][column][in][out]. */
typedef struct {
    int32_t source;       /* offset in the arena */
    int32_t source_width; /* of a row, border included */
    int32_t source_wide;  /* whether its codes are int32 */
    int32_t stored;       /* bytes of a pixel of the source, or inputs if wide */
    int32_t inputs, channels, kernel, stride, pool;
    int32_t row_width;    /* before pooling */
    int32_t width, height;
    int32_t plus;         /* offset in the arena, or -1 */
    int32_t relu;
    int32_t kinds;        /* of columns, in `add` */
    int32_t binary;       /* whether the source is signs, and so are the weights */
    int32_t bits, spread, lowest;
    int32_t pairs;        /* how many sums of two products 16 bits hold; 0: of half weights, one */
    int32_t digits;       /* to the base of 256 of fine weights, whose sums fit 32 bits; or 0 */
    int32_t weights;      /* offset of the unpacked weights */
    const uint8_t *packed;
    const int32_t *fine;
    const float *multiply, *add, *prelu;
    const uint8_t *rows, *columns;
    int32_t output_count;
    const hybrid_output_t *outputs;
} hybrid_conv_t;

typedef struct {
    int32_t source, channels, height, width, pool;
    const int32_t *weights; /* [row][column][channel][class] */
    const int64_t *bias;
} hybrid_head_t;

typedef struct {
    const hybrid_conv_t *conv; /* one of the two */
    const hybrid_head_t *head;
} hybrid_step_t;

extern const hybrid_step_t hybrid_steps[HYBRID_STEPS];
extern const uint64_t hybrid_multipliers[HYBRID_EXITS];
extern const uint32_t hybrid_powers[65], hybrid_log2[65];

/* A kernel: convolutions, exits, and how it wants the weights. */
typedef struct {
    void (*convolve)(const hybrid_conv_t *conv, unsigned char *arena, const void *weights);
    void (*head)(const hybrid_head_t *head, unsigned char *arena, int64_t *logits);
    void (*unpack)(const hybrid_conv_t *conv, void *weights);
} hybrid_kernel_t;

extern const hybrid_kernel_t hybrid_portable;
const hybrid_kernel_t *hybrid_x86(int32_t kernel); /* 0 where this processor has no such kernel */

/* The sums of one position, changed on the way, to all outputs of a convolution. */
void hybrid_finish(const hybrid_conv_t *conv, unsigned char *arena, float *result,
                   const float *add, int32_t y, int32_t x);

/* The weights of an output channel as int16, `stored` of each pixel of the kernel. */
void hybrid_unpack_channel(const hybrid_conv_t *conv, int32_t channel, int16_t *to);

ALWAYS int32_t hybrid_packed_bytes(const hybrid_conv_t *conv) /* of an output channel */
{
    const int32_t square = conv->kernel * conv->kernel;
    if (conv->binary) return (square * conv->stored + 3) / 4 * 4;
    return (square * conv->inputs * conv->bits + 7) / 8;
}

/* The rows under a row of the kernel, columns first: a window is then one run of bits. */
ALWAYS void hybrid_columns(const hybrid_conv_t *conv, const uint8_t *source, uint8_t *to)
{
    const int32_t stored = conv->stored, kernel = conv->kernel, wide = conv->source_width;
    for (int32_t x = 0; x < wide; x++, source += stored)
        for (int32_t ky = 0; ky < kernel; ky++, to += stored) {
            const uint8_t *from = source + ky * wide * stored;
            if (stored == 2) /* sizes that the compiler knows */
                memcpy(to, from, 2);
            else if (stored == 4)
                memcpy(to, from, 4);
            else
                memcpy(to, from, (size_t)stored);
        }
}

#endif
