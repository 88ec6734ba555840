/* What every compiled step begins with: types, vectors, and functions without branches. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

typedef float f32;
typedef int i32;
typedef unsigned u32;
typedef unsigned char u8;
typedef signed char i8;
typedef f32 vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define LOAD(p) (*(const vec *)(p))
#define STORE(p, x) (*(vec *)(p) = (x))
#define INLINE static inline __attribute__((always_inline))

/* Keeps a vector in a register: a compiler that reads it from memory at each of its uses is held
   up by the reads. */
#if defined(__AVX512F__)
#define HELD(x) __asm__("" : "+v"(x))
#elif defined(__SSE__)
#define HELD(x) __asm__("" : "+x"(x))
#elif defined(__ARM_NEON)
#define HELD(x) __asm__("" : "+w"(x))
#else
#define HELD(x)
#endif

INLINE vec spread(f32 x) { return x - (vec){0}; }

/* The upper half is added to the lower one until one number is left; in registers where the
   compiler can be told so, since through memory it takes longer than many a product. */
INLINE f32 total(vec x) {
#if defined(__clang__) || LANES < 8
  f32 sums[LANES];
  memcpy(sums, &x, sizeof(x));
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
#else
  typedef i32 order __attribute__((vector_size(4 * LANES)));
#if LANES == 16
#define TWICE(...) __VA_ARGS__, __VA_ARGS__
  x += __builtin_shuffle(x, (order){TWICE(8, 9, 10, 11, 12, 13, 14, 15)});
#else
#define TWICE(...) __VA_ARGS__
#endif
  x += __builtin_shuffle(x, (order){TWICE(4, 5, 6, 7, 4, 5, 6, 7)});
  x += __builtin_shuffle(x, (order){TWICE(2, 3, 2, 3, 2, 3, 2, 3)});
  x += __builtin_shuffle(x, (order){TWICE(1, 1, 1, 1, 1, 1, 1, 1)});
  return x[0];
#endif
}

/* Eight by eight numbers within registers, then the rest one by one. */
typedef f32 v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef i32 m8 __attribute__((vector_size(32)));
#define MIX(a, b, ...) __builtin_shuffle(a, b, (m8){__VA_ARGS__})

static void turn(const f32 *from, long stride, long columns, long depth, f32 *to, long wide) {
  long n = 0;
  for (; n + 8 <= columns; n += 8) {
    const f32 *row = from + n * stride;
    long k = 0;
    for (; k + 8 <= depth; k += 8) {
      v8 r[8], s[8];
      for (int i = 0; i < 8; i++) r[i] = *(const v8 *)(row + i * stride + k);
      for (int i = 0; i < 8; i += 2) {
        s[i] = MIX(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[i + 1] = MIX(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
      }
      for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
          r[i + j] = MIX(s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
          r[i + j + 2] = MIX(s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
      for (int i = 0; i < 4; i++) {
        *(v8 *)(to + (k + i) * wide + n) = MIX(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(v8 *)(to + (k + i + 4) * wide + n) = MIX(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
      }
    }
    for (; k < depth; k++)
      for (int i = 0; i < 8; i++) to[k * wide + n + i] = row[i * stride + k];
  }
  for (; n < columns; n++)
    for (long k = 0; k < depth; k++) to[k * wide + n] = from[n * stride + k];
}

/* Where thread t of T begins and ends among n rounds, or n numbers in whole vectors. */
#define FROM(n) ((n) * t / T)
#define TO(n) ((n) * (t + 1) / T)
#define EVENFROM(n) ((n) / 16 * t / T * 16)
#define EVENTO(n) (t == T - 1 ? (n) : (n) / 16 * (t + 1) / T * 16)
#define ROWSFROM(n) FROM(n)
#define ROWSTO(n) TO(n)
#define ONEFROM(n) (t ? (n) : 0)
#define ONETO(n) (n)
#define ALLFROM(n) 0
#define ALLTO(n) (n)

/* Where threads wait for each other; one that waits long lets others have the processor. */
typedef struct { _Alignas(64) atomic_int arrived; _Alignas(64) atomic_int turn; } meeting;
enum { PATIENCE = 2000 };

static inline void meet(meeting *met, long T) {
  if (T == 1) return;
  int turn = atomic_load_explicit(&met->turn, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&met->arrived, 1, memory_order_acq_rel) == T - 1) {
    atomic_store_explicit(&met->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&met->turn, turn + 1, memory_order_release);
    return;
  }
  for (long n = 0; atomic_load_explicit(&met->turn, memory_order_acquire) == turn; n++) {
    if (n > PATIENCE) sched_yield();
#ifdef __SSE__
    else __builtin_ia32_pause();
#endif
  }
}

/* Threads that wait for each other must not share a processor, and schedulers let them for a
   while: each is held on one of its own, counted from that of the first, until it is let go. */
#ifdef __linux__
typedef cpu_set_t places;
static int processor(void) { return sched_getcpu(); }
static void hold(places *before, long t, long T, int home) {
  CPU_ZERO(before);
  if (T == 1 || home < 0 || sched_getaffinity(0, sizeof(*before), before)) return;
  long count = CPU_COUNT(before);
  for (int place = home; count >= T; place = (place + 1) % CPU_SETSIZE)
    if (CPU_ISSET(place, before) && t-- == 0) {
      places one;
      CPU_ZERO(&one);
      CPU_SET(place, &one);
      sched_setaffinity(0, sizeof(one), &one);
      return;
    }
}
static void let_go(places *before, long T) {
  if (T > 1 && CPU_COUNT(before)) sched_setaffinity(0, sizeof(*before), before);
}
#else
typedef int places;
static int processor(void) { return -1; }
static void hold(places *before, long t, long T, int home) {}
static void let_go(places *before, long T) {}
#endif

INLINE i32 bits_of(f32 x) { i32 y; memcpy(&y, &x, 4); return y; }
INLINE f32 float_of(i32 x) { f32 y; memcpy(&y, &x, 4); return y; }

/* A choice by masks: with branches some compilers go wrong, and no loop has vectors. */
INLINE i32 pick_i32(i32 c, i32 a, i32 b) { return (a & -c) | (b & ~-c); }
INLINE u32 pick_u32(i32 c, u32 a, u32 b) { return (a & -(u32)c) | (b & ~-(u32)c); }
INLINE f32 pick_f32(i32 c, f32 a, f32 b) { return float_of(pick_i32(c, bits_of(a), bits_of(b))); }

/* As XLA has them: NaN where either is. */
INLINE f32 max_f32(f32 a, f32 b) { return pick_f32((a > b) | (a != a), a, b); }
INLINE f32 min_f32(f32 a, f32 b) { return pick_f32((a < b) | (a != a), a, b); }
INLINE i32 max_i32(i32 a, i32 b) { return a > b ? a : b; }
INLINE i32 min_i32(i32 a, i32 b) { return a < b ? a : b; }
INLINE u32 max_u32(u32 a, u32 b) { return a > b ? a : b; }
INLINE u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }
INLINE i32 is_finite_f32(f32 x) { return (bits_of(x) & 0x7f800000) != 0x7f800000; }
INLINE f32 sign_f32(f32 x) { return pick_f32(x > 0, 1.0f, pick_f32(x < 0, -1.0f, x)); }

/* Cody-Waite reduction and a polynomial, as in Cephes (Moshier): below 1 ulp or so. */
INLINE f32 exp_f32(f32 x) {
  f32 y = pick_f32(x > 88.722835f, 88.722835f, x);
  y = pick_f32(y > -87.33654f, y, -87.33654f);
  f32 k = y * 1.44269504088896341f + 12582912.0f;
  i32 n = bits_of(k) - 0x4b400000;
  k -= 12582912.0f;
  f32 r = y - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  f32 p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  /* In two steps, since 2^128 is no number. */
  i32 half = n >> 1;
  p = p * float_of((half + 127) << 23) * float_of((n - half + 127) << 23);
  p = pick_f32(x > 88.722835f, INFINITY, p);
  p = pick_f32(x < -87.33654f, 0.0f, p);
  return pick_f32(x != x, x, p);
}

INLINE f32 log_f32(f32 x) {
  i32 small = x < 1.17549435e-38f;
  f32 y = pick_f32(small, x * 8388608.0f, x);
  i32 b = bits_of(y);
  i32 e = ((b >> 23) & 0xff) - 126 - small * 23;
  f32 m = float_of((b & 0x007fffff) | 0x3f000000);
  i32 low = m < 0.707106781186547524f;
  f32 k = (f32)(e - low);
  m = pick_f32(low, m + m, m) - 1.0f;
  f32 z = m * m;
  f32 p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  f32 r = m * z * p + k * -2.12194440e-4f - 0.5f * z;
  r = m + r + k * 0.693359375f;
  r = pick_f32(x == 0.0f, -INFINITY, r);
  r = pick_f32(x == INFINITY, x, r);
  return pick_f32((x < 0.0f) | (x != x), NAN, r);
}

INLINE f32 log1p_f32(f32 x) {
  f32 u = 1.0f + x;
  f32 d = u - 1.0f;
  f32 r = log_f32(u) * (x / pick_f32(d == 0.0f, 1.0f, d));
  r = pick_f32(d == 0.0f, x, r);
  return pick_f32(u == INFINITY, u, r);
}

INLINE f32 expm1_f32(f32 x) {
  /* A series near zero, where exp(x) - 1 loses what x has. */
  i32 near = (x > -0.35f) & (x < 0.35f);
  f32 y = pick_f32(near, x, 0.0f);
  f32 p = 1.0f / 5040.0f;
  p = p * y + 1.0f / 720.0f;
  p = p * y + 1.0f / 120.0f;
  p = p * y + 1.0f / 24.0f;
  p = p * y + 1.0f / 6.0f;
  p = p * y + 0.5f;
  p = p * y * y + y;
  return pick_f32(near, p, exp_f32(x) - 1.0f);
}

/* The rational function of Eigen, which XLA uses as well. */
INLINE f32 tanh_f32(f32 x) {
  f32 y = pick_f32(x > 7.90531110763549805f, 7.90531110763549805f, x);
  y = pick_f32(y < -7.90531110763549805f, -7.90531110763549805f, y);
  f32 z = y * y;
  f32 p = -2.76076847742355e-16f;
  p = p * z + 2.00018790482477e-13f;
  p = p * z + -8.60467152213735e-11f;
  p = p * z + 5.12229709037114e-08f;
  p = p * z + 1.48572235717979e-05f;
  p = p * z + 6.37261928875436e-04f;
  p = p * z + 4.89352455891786e-03f;
  f32 q = 1.19825839466702e-06f;
  q = q * z + 1.18534705686654e-04f;
  q = q * z + 2.26843463243900e-03f;
  q = q * z + 4.89352518554385e-03f;
  f32 r = y * p / q;
  r = pick_f32(fabsf(x) < 0.0004f, x, r);
  /* Where the function is saturated the rational one is a little less than 1. */
  r = pick_f32(x > 9.0f, 1.0f, pick_f32(x < -9.0f, -1.0f, r));
  return pick_f32(x != x, x, r);
}

INLINE f32 logistic_f32(f32 x) { return 1.0f / (1.0f + exp_f32(-x)); }

/* Giles, Approximating the erfinv function (2010), single precision. */
INLINE f32 erf_inv_f32(f32 x) {
  f32 w = -log1p_f32(-x * x);
  i32 near = w < 5.0f;
  f32 v = pick_f32(near, w - 2.5f, sqrtf(pick_f32(w < 0.0f, 0.0f, w)) - 3.0f);
  f32 p = pick_f32(near, 2.81022636e-08f, -0.000200214257f);
  p = pick_f32(near, 3.43273939e-07f, 0.000100950558f) + p * v;
  p = pick_f32(near, -3.5233877e-06f, 0.00134934322f) + p * v;
  p = pick_f32(near, -4.39150654e-06f, -0.00367342844f) + p * v;
  p = pick_f32(near, 0.00021858087f, 0.00573950773f) + p * v;
  p = pick_f32(near, -0.00125372503f, -0.0076224613f) + p * v;
  p = pick_f32(near, -0.00417768164f, 0.00943887047f) + p * v;
  p = pick_f32(near, 0.246640727f, 1.00167406f) + p * v;
  p = pick_f32(near, 1.50140941f, 2.83297682f) + p * v;
  return pick_f32((x == 1.0f) | (x == -1.0f), x * INFINITY, p * x);
}

INLINE u32 rotated(u32 x, int by) { return (x << by) | (x >> (32 - by)); }

/* Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011): Threefry-2x32, 20 rounds. */
#define ROUND(by) a += b; b = rotated(b, by); b ^= a;
#define ROUNDS_A ROUND(13) ROUND(15) ROUND(26) ROUND(6)
#define ROUNDS_B ROUND(17) ROUND(29) ROUND(16) ROUND(24)
#define THREEFRY(k0, k1, x0, x1, y0, y1)      \
  {                                           \
    u32 c = (k0) ^ (k1) ^ 0x1BD11BDAu;        \
    u32 a = (x0) + (k0), b = (x1) + (k1);     \
    ROUNDS_A a += (k1); b += c + 1;           \
    ROUNDS_B a += c; b += (k0) + 2;           \
    ROUNDS_A a += (k0); b += (k1) + 3;        \
    ROUNDS_B a += (k1); b += c + 4;           \
    ROUNDS_A a += c; b += (k0) + 5;           \
    y0 = a; y1 = b;                           \
  }
