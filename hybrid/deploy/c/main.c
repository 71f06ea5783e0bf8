/* Runs the test vectors through every kernel of this processor; prints what was compared. */
#include <stdio.h>
#include <string.h>

#include "hybrid_edge.h"
#include "hybrid_vectors.h"

#if defined(__GNUC__)
#define ALIGNED64 __attribute__((aligned(64)))
#else
#define ALIGNED64
#endif

static unsigned char arena[HYBRID_ARENA_BYTES] ALIGNED64;
#ifndef HYBRID_PACKED /* without a copy of the weights */
static unsigned char weights[HYBRID_WEIGHT_BYTES] ALIGNED64;
#endif
static hybrid_edge_t edge;

static int differences(int32_t image)
{
    uint8_t sent[HYBRID_SENT_BYTES];
    hybrid_answer_t answer;
    int wrong = 0;
    hybrid_edge_begin(&edge, hybrid_vector_pixels[image]);
    while (hybrid_edge_step(&edge, &answer)) {
        const int64_t *expected = hybrid_vector_logits[image][answer.exit];
        wrong += memcmp(edge.logits, expected, sizeof edge.logits) != 0;
        wrong += answer.confidence != hybrid_vector_confidences[image][answer.exit];
    }
    (void)hybrid_edge_pack(&edge, sent);
    wrong += memcmp(sent, hybrid_vector_sent[image], sizeof sent) != 0;
    return wrong;
}

static int compared(int32_t kernel, const char *name, const void *unpacked)
{
    int wrong = 0;
    if (hybrid_edge_init(&edge, arena, sizeof arena, unpacked, kernel) != HYBRID_OK) return 1;
    for (int32_t image = 0; image < HYBRID_VECTORS; image++) wrong += differences(image);
    printf("%s: %d images, every exit's logits and confidence, the bytes sent: %s\n", name,
           HYBRID_VECTORS, wrong ? "DIFFERENT" : "equal");
    return wrong;
}

int main(void)
{
    int wrong = compared(HYBRID_PLAIN, "plain, packed weights", 0);
#ifndef HYBRID_PACKED
    static const char *const names[HYBRID_KERNELS] = {"plain", "AVX2", "AVX-VNNI", "AVX-512"};
    for (int32_t kernel = 0; kernel < HYBRID_KERNELS; kernel++) {
        if (!hybrid_edge_has_kernel(kernel)) continue;
        hybrid_edge_unpack(weights, kernel);
        wrong += compared(kernel, names[kernel], weights);
    }
#endif
    return wrong != 0;
}
