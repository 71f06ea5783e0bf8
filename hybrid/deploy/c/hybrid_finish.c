/* What follows a convolution's exact sums, in float: norm, shortcut, activation, and the outputs. */
#include <float.h>

#include "hybrid_steps.h"

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float must be computed as float; use -msse2 -mfpmath=sse or another target."
#endif

ALWAYS int32_t whole(float value) /* |value| <= 2^22 and half to even, without a maths library */
{
    const float moved = value + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &moved, sizeof bits);
    return bits - 0x4B400000;
}

ALWAYS int32_t code_of(float value, const hybrid_output_t *out)
{
    float v = value * out->scale;
    v = v > out->low ? v : out->low;
    v = v < out->high ? v : out->high;
    return whole(v);
}

static void written(const hybrid_conv_t *conv, unsigned char *arena, const hybrid_output_t *out,
                    const float *result, int32_t y, int32_t x)
{
    const int32_t channels = conv->channels, at = (y * conv->width + x) * channels;
    if (out->kind == HYBRID_FLOATS) {
        memcpy(arena + out->offset + at * 4, result, (size_t)channels * 4u);
    } else if (out->kind == HYBRID_WIDE) {
        const int32_t every = out->every, kept = (conv->width + every - 1) / every;
        int32_t *to = (int32_t *)(void *)(arena + out->offset)
                    + (y / every * kept + x / every) * channels;
        if (y % every || x % every) return;
        for (int32_t c = 0; c < channels; c++) to[c] = code_of(result[c], out);
    } else {
        const int32_t row = (y + out->border) * (conv->width + 2 * out->border) + out->border;
        uint8_t *to = arena + out->offset + (row + x) * out->stored;
        if (out->kind == HYBRID_CODES) {
            for (int32_t c = 0; c < channels; c++) to[c] = (uint8_t)code_of(result[c], out);
            return;
        }
        for (int32_t c = 0; c < channels; c += 8) {
            uint32_t signs = 0;
            for (int32_t i = 0; i < 8 && c + i < channels; i++)
                signs |= (uint32_t)(result[c + i] >= out->thresholds[c + i]) << i;
            to[c / 8] = (uint8_t)signs;
        }
    }
}

void hybrid_finish(const hybrid_conv_t *conv, unsigned char *arena, float *result,
                   const float *add, int32_t y, int32_t x)
{
    const int32_t channels = conv->channels;
    const float *multiply = conv->multiply;
    for (int32_t c = 0; c < channels; c++) {
        const float value = result[c] * multiply[c];
        result[c] = value + add[c];
    }
    if (conv->plus >= 0) {
        const float *plus = (const float *)(const void *)(arena + conv->plus)
                          + (y * conv->width + x) * channels;
        for (int32_t c = 0; c < channels; c++) result[c] = result[c] + plus[c];
    }
    if (conv->relu)
        for (int32_t c = 0; c < channels; c++) result[c] = result[c] > 0.0f ? result[c] : 0.0f;
    if (conv->prelu) {
        const float *before = conv->prelu, *slope = before + channels, *after = slope + channels;
        for (int32_t c = 0; c < channels; c++) {
            const float moved = result[c] - before[c]; /* one of the two parts is 0: no branch */
            const float rising = moved > 0.0f ? moved : 0.0f;
            const float falling = moved < 0.0f ? moved : 0.0f;
            const float scaled = slope[c] * falling;
            result[c] = (rising + scaled) + after[c];
        }
    }
    for (int32_t o = 0; o < conv->output_count; o++)
        written(conv, arena, conv->outputs + o, result, y, x);
}
