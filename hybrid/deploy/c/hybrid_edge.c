/* The engine: walks the steps of hybrid_net.c. See hybrid_edge.h. */
#include "hybrid_edge.h"

#include <string.h>

#include "hybrid_steps.h"

/* ---- codes around a register ---- */

static void fill_run(uint8_t *to, int32_t pixels, int32_t stored, const uint8_t *fill)
{
    if (!fill) {
        memset(to, 0, (size_t)(pixels * stored));
        return;
    }
    memcpy(to, fill, (size_t)stored);
    for (int32_t done = 1; done < pixels; done *= 2) { /* what is there already, once more */
        const int32_t more = done < pixels - done ? done : pixels - done;
        memcpy(to + done * stored, to, (size_t)(more * stored));
    }
}

/* A border's right and its next row's left follow each other. */
static void fill_border(const hybrid_conv_t *conv, unsigned char *arena, const hybrid_output_t *out)
{
    const int32_t border = out->border, stored = out->stored, wide = conv->width + 2 * border;
    const int32_t above = border * wide + border;
    uint8_t *to = arena + out->offset;
    fill_run(to, above, stored, out->fill);
    for (int32_t y = 1; y < conv->height; y++)
        fill_run(to + (above + y * wide - 2 * border) * stored, 2 * border, stored, out->fill);
    fill_run(to + (above + conv->height * wide - 2 * border) * stored, above, stored, out->fill);
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

static const hybrid_kernel_t *kernel_of(int32_t kernel)
{
    return kernel == HYBRID_PLAIN ? &hybrid_portable : hybrid_x86(kernel);
}

int32_t hybrid_edge_has_kernel(int32_t kernel) { return kernel_of(kernel) != 0; }

int32_t hybrid_edge_best_kernel(void)
{
    int32_t kernel = HYBRID_KERNELS - 1;
    while (!hybrid_edge_has_kernel(kernel)) kernel--;
    return kernel;
}

void hybrid_edge_unpack(void *weights, int32_t kernel)
{
    for (int32_t s = 0; s < HYBRID_STEPS; s++) {
        const hybrid_conv_t *conv = hybrid_steps[s].conv;
        if (conv) kernel_of(kernel)->unpack(conv, (unsigned char *)weights + conv->weights);
    }
}

int32_t hybrid_edge_init(hybrid_edge_t *edge, void *arena, uint32_t arena_bytes,
                         const void *weights, int32_t kernel)
{
    const uintptr_t alignment = kernel == HYBRID_PLAIN ? 8u : 64u;
    memset(edge, 0, sizeof *edge);
    edge->next_step = HYBRID_STEPS;
    if (!hybrid_edge_has_kernel(kernel) || (!weights && kernel != HYBRID_PLAIN))
        return HYBRID_NO_KERNEL;
    if (!arena || arena_bytes < HYBRID_ARENA_BYTES) return HYBRID_ARENA_TOO_SMALL;
    if (((uintptr_t)arena | (uintptr_t)weights) % alignment) return HYBRID_NOT_ALIGNED;
    edge->arena = (unsigned char *)arena;
    edge->weights = (const unsigned char *)weights;
    edge->kernel = kernel;
    memcpy(edge->multipliers, hybrid_multipliers, sizeof edge->multipliers);
    for (int32_t i = 0; i < HYBRID_EXITS; i++) edge->thresholds[i] = HYBRID_ONE + 1u;
    return HYBRID_OK;
}

void hybrid_edge_begin(hybrid_edge_t *edge, const uint8_t *pixels)
{
    const int32_t border = HYBRID_PIXEL_BORDER, wide = HYBRID_WIDTH + 2 * border;
    uint8_t *to;
    if (!edge->arena) return;
    to = edge->arena + HYBRID_PIXELS;
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
    const unsigned char *weights = edge->weights ? edge->weights + conv->weights : 0;
    for (int32_t o = 0; o < conv->output_count; o++)
        if (conv->outputs[o].border) fill_border(conv, edge->arena, conv->outputs + o);
    kernel_of(edge->kernel)->convolve(conv, edge->arena, weights);
}

int32_t hybrid_edge_step(hybrid_edge_t *edge, hybrid_answer_t *answer)
{
    while (edge->next_step < HYBRID_STEPS) {
        const hybrid_step_t *step = hybrid_steps + edge->next_step++;
        if (step->conv) {
            convolve(edge, step->conv);
            continue;
        }
        kernel_of(edge->kernel)->head(step->head, edge->arena, edge->logits);
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

#define IN_A_BYTE (8u / HYBRID_SENT_BITS) /* codes of neighbouring pixels */

/* Where codes fill whole bytes: of all channels at a time, as they are stored. */
static void pack_bytes(const uint8_t *codes, uint8_t *out)
{
    const uint32_t row = HYBRID_SENT_PIXELS / IN_A_BYTE;
    uint8_t bytes[HYBRID_SENT_CHANNELS];
    for (uint32_t i = 0; i < row; i++) {
        memset(bytes, 0, sizeof bytes);
        for (uint32_t j = IN_A_BYTE; j > 0; j--) { /* the last one is the highest */
            const uint8_t *from = codes + (j - 1u) * HYBRID_SENT_STORED;
            for (uint32_t c = 0; c < HYBRID_SENT_CHANNELS; c++)
                bytes[c] = (uint8_t)(bytes[c] * (1u << HYBRID_SENT_BITS % 8u) + from[c]);
        }
        codes += IN_A_BYTE * HYBRID_SENT_STORED;
        for (uint32_t c = 0; c < HYBRID_SENT_CHANNELS; c++) out[c * row + i] = bytes[c];
    }
}

uint32_t hybrid_edge_pack(const hybrid_edge_t *edge, uint8_t *out)
{
    const uint8_t *codes;
    uint32_t held = 0, bits = 0;
    uint8_t *to = out;
    if (!edge->arena) return 0;
    codes = edge->arena + HYBRID_SENT;
    if (8 % HYBRID_SENT_BITS == 0 && HYBRID_SENT_PIXELS % IN_A_BYTE == 0) {
        pack_bytes(codes, out);
        return HYBRID_SENT_BYTES;
    }
    for (uint32_t c = 0; c < HYBRID_SENT_CHANNELS; c++)
        for (uint32_t i = 0; i < HYBRID_SENT_PIXELS; i++) {
            held |= (uint32_t)codes[i * HYBRID_SENT_STORED + c] << bits;
            bits += HYBRID_SENT_BITS;
            if (bits >= 8u) {
                *to++ = (uint8_t)held;
                held >>= 8;
                bits -= 8u;
            }
        }
    if (bits) *to = (uint8_t)held;
    return HYBRID_SENT_BYTES;
}
