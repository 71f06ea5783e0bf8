/* Kernels of x86 processors. One text, hybrid_vector.h, is compiled for each instruction set. */
#include "hybrid_steps.h"

#if !defined(HYBRID_PORTABLE) && defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

ALWAYS int32_t word(const void *from)
{
    int32_t four;
    memcpy(&four, from, 4);
    return four;
}

/* ---- 256 bits; products by maddubs or by AVX-VNNI ---- */

#define LANES 8
#define MOST 8 /* sums of a block: what the registers hold */
#define VF __m256
#define VI __m256i
#define VM __m256i
#define v_mask(n) mask8(n)
#define v_load(from, m) _mm256_maskload_ps(from, m)
#define v_store(to, v) _mm256_storeu_ps(to, v)
#define v_store_some(to, v, m) _mm256_maskstore_ps(to, m, v)
#define v_store_whole(to, v) _mm256_storeu_si256((VI *)(void *)(to), v)
#define v_store_whole_some(to, v, m) _mm256_maskstore_epi32((int *)(to), m, v)
#define v_full(from) _mm256_load_si256((const VI *)(const void *)(from))
#define v_zero() _mm256_setzero_si256()
#define v_broadcast(w) _mm256_set1_epi32(w)
#define v_set(f) _mm256_set1_ps(f)
#define v_plus(a, b) _mm256_add_epi32(a, b)
#define v_left(v, n) _mm256_slli_epi32(v, n)
#define v_larger(a, b) _mm256_max_epi32(a, b)
#define v_float(v) _mm256_cvtepi32_ps(v)
#define v_round(v) _mm256_cvtps_epi32(v)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_rising(a, b) \
    _mm256_blendv_ps(b, a, _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GE_OQ))
#define v_signs(a, b, m)                                                                       \
    (uint32_t)_mm256_movemask_ps(_mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ),               \
                                               _mm256_castsi256_ps(m)))
#define v_bytes(to, v, n) bytes8(to, v, n)
#define VD __m256d
#define HALF 4
#define d_zero() _mm256_setzero_pd()
#define d_set(d) _mm256_set1_pd(d)
#define d_load(from) _mm256_load_pd(from)
#define d_store(to, v) _mm256_storeu_pd(to, v)
#define d_add(a, b) _mm256_add_pd(a, b)
#define d_fma(a, b, c) _mm256_fmadd_pd(a, b, c)
#define d_low(v) _mm256_cvtepi32_pd(_mm256_castsi256_si128(v))
#define d_high(v) _mm256_cvtepi32_pd(_mm256_extracti128_si256(v, 1))
#define d_join(a, b) _mm256_set_m128(_mm256_cvtpd_ps(b), _mm256_cvtpd_ps(a))
#define d_of(from, m) _mm256_cvtepi32_pd(_mm_maskload_epi32((const int *)(from), m))
#define DM __m128i
#define d_mask(n) _mm256_castsi256_si128(mask8(n))

#define TARGET __attribute__((target("avx2,fma")))
TARGET ALWAYS VM mask8(int32_t n)
{
    return _mm256_cmpgt_epi32(v_broadcast(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
TARGET ALWAYS void bytes8(uint8_t *to, VI v, int32_t n)
{
    const __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    const __m128i shorts = _mm_packs_epi32(low, high), bytes = _mm_packus_epi16(shorts, shorts);
    uint8_t all[8];
    if (n >= 8) {
        _mm_storel_epi64((__m128i *)(void *)to, bytes);
        return;
    }
    _mm_storel_epi64((__m128i *)(void *)all, bytes);
    memcpy(to, all, (size_t)n);
}
#define NAME(x) avx2_##x
#include "hybrid_vector.h"
#undef NAME
#undef TARGET

#define TARGET __attribute__((target("avx2,fma,avxvnni")))
#define DOT(sum, codes, weights) _mm256_dpbusd_avx_epi32(sum, codes, weights)
#undef PLACE
#undef WHILE
#define NAME(x) avxvnni_##x
#include "hybrid_vector.h"
#undef NAME
#undef TARGET
#undef DOT

/* ---- 512 bits ---- */

#undef LANES
#undef MOST
#undef VF
#undef VI
#undef VM
#undef v_mask
#undef v_load
#undef v_store
#undef v_store_some
#undef v_store_whole
#undef v_store_whole_some
#undef v_full
#undef v_zero
#undef v_broadcast
#undef v_set
#undef v_plus
#undef v_larger
#undef v_left
#undef v_float
#undef v_round
#undef v_mul
#undef v_add
#undef v_sub
#undef v_max
#undef v_min
#undef v_rising
#undef v_signs
#undef v_bytes
#undef VD
#undef HALF
#undef d_zero
#undef d_set
#undef d_load
#undef d_store
#undef d_add
#undef d_fma
#undef d_low
#undef d_high
#undef d_join
#undef d_of
#undef DM
#undef d_mask
#define LANES 16
#define MOST 16
#define VF __m512
#define VI __m512i
#define VM __mmask16
#define v_mask(n) (__mmask16)((n) < 16 ? (1u << (n)) - 1u : 0xFFFFu)
#define v_load(from, m) _mm512_maskz_loadu_ps(m, from)
#define v_store(to, v) _mm512_storeu_ps(to, v)
#define v_store_some(to, v, m) _mm512_mask_storeu_ps(to, m, v)
#define v_store_whole(to, v) _mm512_storeu_si512(to, v)
#define v_store_whole_some(to, v, m) _mm512_mask_storeu_epi32(to, m, v)
#define v_full(from) _mm512_load_si512((const void *)(from))
#define v_zero() _mm512_setzero_si512()
#define v_broadcast(w) _mm512_set1_epi32(w)
#define v_set(f) _mm512_set1_ps(f)
#define v_plus(a, b) _mm512_add_epi32(a, b)
#define v_left(v, n) _mm512_slli_epi32(v, n)
#define v_larger(a, b) _mm512_max_epi32(a, b)
#define v_float(v) _mm512_cvtepi32_ps(v)
#define v_round(v) _mm512_cvtps_epi32(v)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_rising(a, b) \
    _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GE_OQ), a)
#define v_signs(a, b, m) (uint32_t)_mm512_mask_cmp_ps_mask(m, a, b, _CMP_GE_OQ)
#define v_bytes(to, v, n) bytes16(to, v, n)
#define VD __m512d
#define HALF 8
#define d_zero() _mm512_setzero_pd()
#define d_set(d) _mm512_set1_pd(d)
#define d_load(from) _mm512_load_pd(from)
#define d_store(to, v) _mm512_storeu_pd(to, v)
#define d_add(a, b) _mm512_add_pd(a, b)
#define d_fma(a, b, c) _mm512_fmadd_pd(a, b, c)
#define d_low(v) _mm512_cvtepi32_pd(_mm512_castsi512_si256(v))
#define d_high(v) _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(v, 1))
#define d_join(a, b) \
    _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1)
#define d_of(from, m) _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(m, from))
#define DM __mmask8
#define d_mask(n) (__mmask8)((n) < 8 ? (1u << (n)) - 1u : 0xFFu)
#define DOT(sum, codes, weights) _mm512_dpbusd_epi32(sum, codes, weights)
#define ONES(v) _mm512_popcnt_epi32(v)
#define TARGET \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vpopcntdq")))
TARGET ALWAYS void bytes16(uint8_t *to, VI v, int32_t n)
{
    const __m128i bytes = _mm512_cvtepi32_epi8(v);
    uint8_t all[16];
    if (n >= 16) {
        _mm_storeu_si128((__m128i *)(void *)to, bytes);
        return;
    }
    _mm_storeu_si128((__m128i *)(void *)all, bytes);
    memcpy(to, all, (size_t)n);
}
#undef PLACE
#undef WHILE
#define NAME(x) avx512_##x
#include "hybrid_vector.h"

#define HAS(feature) __builtin_cpu_supports(feature)

static int has_avxvnni(void) /* the builtin of clang 14 does not know the name */
{
    unsigned int a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1u);
}

const hybrid_kernel_t *hybrid_x86(int32_t kernel)
{
    static const hybrid_kernel_t avx2 = {avx2_convolve, avx2_head, avx2_unpack};
    static const hybrid_kernel_t avxvnni = {avxvnni_convolve, avxvnni_head, avxvnni_unpack};
    static const hybrid_kernel_t avx512 = {avx512_convolve, avx512_head, avx512_unpack};
    const int small = HAS("avx2") && HAS("fma");
    if (kernel == HYBRID_AVX2 && small) return &avx2;
    if (kernel == HYBRID_AVX_VNNI && small && has_avxvnni()) return &avxvnni;
    if (kernel == HYBRID_AVX512 && HAS("avx512bw") && HAS("avx512vl") && HAS("avx512dq")
        && HAS("avx512vnni") && HAS("avx512vpopcntdq"))
        return &avx512;
    return 0;
}

#else

const hybrid_kernel_t *hybrid_x86(int32_t kernel)
{
    (void)kernel;
    return 0;
}
#endif
