/* An edge segment with early exits in whole numbers: C99, no heap, no libc but stdint and string.
 *
 *     hybrid_edge_init(&edge, arena, sizeof arena, 0, HYBRID_PLAIN);    0 if all is well
 *     hybrid_edge_begin(&edge, pixels);
 *     while (hybrid_edge_step(&edge, &answer)) if (answer.leaves) return answer.class_index;
 *     length = hybrid_edge_pack(&edge, bytes);      send these to the cloud
 *
 * One hybrid_edge_t serves one image at a time; several may run at once, each with its own arena.
 */
#ifndef HYBRID_EDGE_H
#define HYBRID_EDGE_H

#include <stdint.h>

#include "hybrid_net.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HYBRID_ONE 16777216u /* confidence 1 */

/* The kernels, all of them equal to the bit; the first is there on every processor. */
enum { HYBRID_PLAIN = 0, HYBRID_AVX2 = 1, HYBRID_AVX_VNNI = 2, HYBRID_AVX512 = 3, HYBRID_KERNELS = 4 };

/* What hybrid_edge_init answers. */
enum {
    HYBRID_OK = 0,
    HYBRID_ARENA_TOO_SMALL = 1, /* less than HYBRID_ARENA_BYTES */
    HYBRID_NOT_ALIGNED = 2,     /* the arena or the weights */
    HYBRID_NO_KERNEL = 3        /* not on this processor, or not without unpacked weights */
};

enum { HYBRID_MAX_PROBABILITY = 0, HYBRID_MARGIN = 1, HYBRID_ENTROPY = 2 };

typedef struct {
    int32_t exit;        /* from 0 */
    int32_t class_index;
    uint32_t confidence; /* of the measure chosen, in units of 2^-24 */
    int32_t leaves;      /* whether the confidence reaches the exit's threshold */
} hybrid_answer_t;

typedef struct {
    unsigned char *arena;
    const unsigned char *weights;
    uint32_t thresholds[HYBRID_EXITS]; /* ceil(threshold * 2^24); may be set at any time */
    uint64_t multipliers[HYBRID_EXITS];
    int32_t measure;
    int32_t kernel;
    int32_t next_step;
    int32_t next_exit;
    int64_t logits[HYBRID_CLASSES]; /* of the last exit */
} hybrid_edge_t;

/* Whether this processor has a kernel; and the fastest that it has. */
int32_t hybrid_edge_has_kernel(int32_t kernel);
int32_t hybrid_edge_best_kernel(void);

/* Unpacks the weights for a kernel, once: HYBRID_WEIGHT_BYTES, aligned to 64. They may be shared by
 * several edges of the same network. The plain kernel can also do without, and reads the packed
 * weights as it goes. */
void hybrid_edge_unpack(void *weights, int32_t kernel);

/* arena: HYBRID_ARENA_BYTES or more, aligned to 64, or to 8 if plain. weights: unpacked for this
 * kernel, aligned as the arena; or 0 if plain. After an answer other than HYBRID_OK the other
 * functions do nothing. */
int32_t hybrid_edge_init(hybrid_edge_t *edge, void *arena, uint32_t arena_bytes,
                         const void *weights, int32_t kernel);

/* pixels: height, width, channels, as they are in an image file. */
void hybrid_edge_begin(hybrid_edge_t *edge, const uint8_t *pixels);

/* Runs to the next exit and answers 1; answers 0 once the cut is reached. */
int32_t hybrid_edge_step(hybrid_edge_t *edge, hybrid_answer_t *answer);

/* A confidence of the last exit's logits. */
uint32_t hybrid_edge_confidence(const hybrid_edge_t *edge, int32_t exit, int32_t measure);

/* The codes at the cut, channels first, HYBRID_SENT_BITS each; returns HYBRID_SENT_BYTES. */
uint32_t hybrid_edge_pack(const hybrid_edge_t *edge, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
