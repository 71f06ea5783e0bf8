/* Starts a Cortex-M under QEMU, runs the test vectors, and writes one line a figure:
 *
 *     wrong 0                 differences from the vectors
 *     instructions 1 123456   of one image, up to exit 1, from the previous one
 *     stack 1234              bytes
 */
#include <stdint.h>
#include <string.h>

#include "hybrid_edge.h"
#include "hybrid_vectors.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define COPROCESSORS REGISTER(0xE000ED88u)
#define PAINT 0xA5A5A5A5u
#define PAINTED 16384u /* bytes of stack that are watched */

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_top;
static unsigned char arena[HYBRID_ARENA_BYTES] __attribute__((aligned(64)));
static hybrid_edge_t edge;

static void ask(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void write(const char *text) { ask(4, text); }

static void write_number(const char *name, uint32_t value)
{
    char digits[12], *at = digits + 11;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10u);
        value /= 10u;
    } while (value);
    write(name);
    write(at);
}

static void leave(uint32_t code)
{
    const uint32_t block[2] = {0x20026u, code}; /* ADP_Stopped_ApplicationExit */
    ask(0x20, block);
    for (;;) {}
}

/* SysTick counts down; with -icount shift=0 QEMU lets a fixed number of instructions pass a tick. */
static uint32_t ticks(void) { return SYSTICK_VALUE; }
static uint32_t since(uint32_t start) { return (start - ticks()) & 0xFFFFFFu; }

static uint32_t per_thousand_ticks(void)
{
    const uint32_t start = ticks();
    uint32_t left = 1000000u;
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(left)::"cc");
    return 2000000000u / since(start);
}

static int differences(int32_t image, uint32_t rate)
{
    static uint8_t sent[HYBRID_SENT_BYTES];
    hybrid_answer_t answer;
    uint32_t start = ticks();
    int wrong = 0;
    hybrid_edge_begin(&edge, hybrid_vector_pixels[image]);
    while (hybrid_edge_step(&edge, &answer)) {
        const uint32_t passed = (uint32_t)((uint64_t)since(start) * rate / 1000u);
        const int64_t *expected = hybrid_vector_logits[image][answer.exit];
        if (!image) {
            write_number("instructions ", (uint32_t)answer.exit + 1u);
            write_number(" ", passed);
            write("\n");
        }
        wrong += memcmp(edge.logits, expected, sizeof edge.logits) != 0;
        wrong += answer.confidence != hybrid_vector_confidences[image][answer.exit];
        start = ticks();
    }
    (void)hybrid_edge_pack(&edge, sent);
    return wrong + (memcmp(sent, hybrid_vector_sent[image], sizeof sent) != 0);
}

static void run(void)
{
    uint32_t *const bottom = &stack_top - PAINTED / 4u, *at = bottom, rate;
    int wrong = 0;
    while (at < (uint32_t *)__builtin_frame_address(0) - 16) *at++ = PAINT;
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5;
    rate = per_thousand_ticks();
    if (hybrid_edge_init(&edge, arena, sizeof arena, 0, HYBRID_PLAIN) != HYBRID_OK) leave(1);
    for (int32_t image = 0; image < HYBRID_VECTORS; image++) wrong += differences(image, rate);
    write_number("wrong ", (uint32_t)wrong);
    for (at = bottom; *at == PAINT; at++) {}
    write_number("\nstack ", (uint32_t)(&stack_top - at) * 4u);
    write("\n");
    leave((uint32_t)wrong);
}

void reset(void);
static void fault(void)
{
    write("fault\n");
    leave(1);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, (void *)fault};

__attribute__((naked, noreturn)) void reset(void) { __asm__ volatile("b started"); }

__attribute__((noreturn, used)) void started(void)
{
    COPROCESSORS |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    memcpy(&data_start, &data_load, (size_t)((char *)&data_end - (char *)&data_start));
    memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
    run();
    for (;;) {}
}
