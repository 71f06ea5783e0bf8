/* The tables that hybrid_net.c fills in: the steps of one network. */
#ifndef HYBRID_STEPS_H
#define HYBRID_STEPS_H

#include <stdint.h>

#include "hybrid_net.h"

enum { HYBRID_FLOATS = 0, HYBRID_WIDE = 1, HYBRID_CODES = 2, HYBRID_SIGNS = 3 };

typedef struct {
    int32_t kind;
    int32_t offset; /* in the arena */
    int32_t border; /* pixels around the codes, filled with `fill` */
    int32_t stored; /* bytes of a pixel: channels, rounded up to fours */
    float scale, low, high;
    const float *thresholds;
    const uint8_t *fill;
} hybrid_output_t;

typedef struct {
    int32_t source;       /* offset in the arena */
    int32_t source_width; /* of a row, border included */
    int32_t source_wide;  /* whether its codes are int32 */
    int32_t inputs, channels, kernel, stride, pool;
    int32_t quads;        /* fours of stored input channels */
    int32_t tiles;        /* sixteens of output channels */
    int32_t row_width;    /* before pooling */
    int32_t width, height;
    int32_t plus;         /* offset in the arena, or -1 */
    int32_t relu;
    int32_t kinds;        /* of columns, in `add` */
    uint32_t bits;        /* of a packed weight, which stands for code * spread + lowest */
    int32_t spread, lowest;
    int32_t weights;      /* offset of the unpacked weights */
    const uint8_t *packed;
    const int32_t *fine;
    const int32_t *correction;
    const float *multiply, *add, *prelu;
    const uint8_t *rows, *columns;
    int32_t output_count;
    const hybrid_output_t *outputs;
} hybrid_conv_t;

typedef struct {
    int32_t source, channels, height, width, pool;
    const int32_t *weights; /* [channel][row][column][class] */
    const int64_t *bias;
} hybrid_head_t;

typedef struct {
    const hybrid_conv_t *conv; /* one of the two */
    const hybrid_head_t *head;
} hybrid_step_t;

extern const hybrid_step_t hybrid_steps[HYBRID_STEPS];
extern const uint64_t hybrid_multipliers[HYBRID_EXITS];
extern const uint32_t hybrid_powers[65], hybrid_log2[65];

#endif
