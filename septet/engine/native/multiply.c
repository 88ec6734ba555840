/* Matrix products for XLA to call: a b, a b^T and a^T b.

   Where the processor multiplies tiles of bfloat16 (AMX), each number is split into the bfloat16
   nearest to it and the one nearest to what is left, and three products of such halves are added
   up in float32; the fourth, and what the halves leave, are below 2^-16 of a product (Henry et al.
   2019, arXiv:1904.06376). Elsewhere numbers are multiplied as they are.

   What is read by several is copied together first. Every number is added up in an order that the
   number of threads does not change. */

/* No more numbers of a side than this are copied at once, no deeper than that. */
enum { MOST_NUMBERS = 1 << 22, MOST_DEEP = 4096, PLACES = 2 };

/* A matrix of outer rows, each a sum's depth long; one of the steps is 1. */
typedef struct {
  const f32 *at;
  long outer, depth, outer_step, depth_step;
} side;

typedef struct {
  side a, b;
  /* The result, from row to row, and whether it is added to what is there. */
  f32 *c;
  long step;
  int is_added;
  /* Copies, whole panels one after another; of the right side there may be one already. */
  char *packed_a, *packed_b;
  int is_packed;
  /* Panels of both sides, how many of them a unit has, and units side by side. */
  long rows, columns, tall, wide, across;
} problem;

static long least(long a, long b) { return a < b ? a : b; }
static long over(long a, long b) { return (a + b - 1) / b; }

/* ---- Memory that stays, since new pages are slow ---- */

static struct { atomic_int is_taken; void *memory; size_t size; } kept[PLACES];

static void *borrow(size_t size) {
  for (int i = 0; i < PLACES; i++) {
    int not_taken = 0;
    if (!atomic_compare_exchange_strong(&kept[i].is_taken, &not_taken, 1)) continue;
    if (kept[i].size < size) {
      free(kept[i].memory);
      kept[i].memory = aligned_alloc(64, size);
      kept[i].size = kept[i].memory ? size : 0;
    }
    if (!kept[i].memory) atomic_store(&kept[i].is_taken, 0);
    return kept[i].memory;
  }
  return aligned_alloc(64, size);
}

static void give_back(void *memory) {
  for (int i = 0; i < PLACES; i++)
    if (memory == kept[i].memory) {
      atomic_store(&kept[i].is_taken, 0);
      return;
    }
  free(memory);
}

/* ---- Numbers as they are ---- */

enum { FULL_TALL = LANES == 16 ? 8 : 4, FULL_WIDE = 3 * LANES, FULL_DEEP = 192, FULL_ROWS = 16 };

static int copy_full(const void *given, int panel) {
  const problem *p = given;
  const side *b = &p->b;
  long first = panel * FULL_WIDE, count = least(FULL_WIDE, b->outer - first);
  f32 *to = (f32 *)p->packed_b + panel * FULL_WIDE * b->depth;
  const f32 *from = b->at + first * b->outer_step;
  if (count < FULL_WIDE) memset(to, 0, sizeof(f32) * (size_t)(FULL_WIDE * b->depth));
  if (b->depth_step == 1) turn(from, b->outer_step, count, b->depth, to, FULL_WIDE);
  else
    for (long k = 0; k < b->depth; k++, from += b->depth_step, to += FULL_WIDE)
      memcpy(to, from, sizeof(f32) * (size_t)count);
  return 1;
}

/* Some of a unit's rows, side by side for each number of the depth, panel after panel. */
static void copy_left(const side *a, long row, long rows, long from, long depth, f32 *to) {
  const f32 *at = a->at + row * a->outer_step + from * a->depth_step;
  if (a->depth_step == 1) {
    for (long i = 0; i < rows; i += FULL_TALL, to += FULL_TALL * depth)
      turn(at + i * a->outer_step, a->outer_step, least(FULL_TALL, rows - i), depth, to, FULL_TALL);
    return;
  }
  for (long k = 0; k < depth; k++, at += a->depth_step)
    for (long i = 0; i < rows; i += FULL_TALL)
      memcpy(to + i * depth + k * FULL_TALL, at + i, sizeof(f32) * (size_t)least(FULL_TALL, rows - i));
}

INLINE void full_tile(int R, const f32 *left, const f32 *right, long depth, f32 *c, long step,
                      int is_added) {
  vec sums[FULL_TALL][3];
  for (int i = 0; i < R; i++)
    for (int n = 0; n < 3; n++)
      sums[i][n] = is_added ? LOAD(c + i * step + n * LANES) : (vec){0};
  for (long k = 0; k < depth; k++, left += FULL_TALL, right += FULL_WIDE) {
    vec x[3];
    for (int n = 0; n < 3; n++) x[n] = LOAD(right + n * LANES);
    for (int i = 0; i < R; i++) {
      vec factor = spread(left[i]);
      for (int n = 0; n < 3; n++) sums[i][n] += factor * x[n];
    }
  }
  for (int i = 0; i < R; i++)
    for (int n = 0; n < 3; n++) STORE(c + i * step + n * LANES, sums[i][n]);
}

static void full_rows(const problem *p, long row, long panel, long from, long depth,
                      const f32 *left) {
  long first = panel * FULL_WIDE, count = least(FULL_WIDE, p->b.outer - first);
  long rows = least(FULL_TALL, p->a.outer - row), step = p->step;
  int is_added = p->is_added || from > 0;
  f32 part[FULL_TALL * FULL_WIDE], *out = p->c + row * step + first, *c = out;
  const f32 *right = (f32 *)p->packed_b + (panel * p->b.depth + from) * FULL_WIDE;
  if (count < FULL_WIDE) {
    c = part, step = FULL_WIDE;
    for (long i = 0; i < rows && is_added; i++)
      memcpy(part + i * step, out + i * p->step, sizeof(f32) * (size_t)count);
  }
  if (rows == FULL_TALL) full_tile(FULL_TALL, left, right, depth, c, step, is_added);
  else
    for (long i = 0; i < rows; i++)
      full_tile(1, left + i, right, depth, c + i * step, step, is_added);
  for (long i = 0; i < rows && c == part; i++)
    memcpy(out + i * p->step, part + i * step, sizeof(f32) * (size_t)count);
}

static int full_unit(const void *given, int unit) {
  const problem *p = given;
  long row = unit / p->across * p->tall * FULL_TALL, column = unit % p->across * p->wide;
  long rows = least(p->tall * FULL_TALL, p->a.outer - row);
  long columns = least(column + p->wide, p->columns);
  f32 *left = aligned_alloc(64, sizeof(f32) * (size_t)(p->tall * FULL_TALL * FULL_DEEP));
  if (!left) return 0;
  for (long from = 0; from < p->a.depth; from += FULL_DEEP) {
    long depth = least(FULL_DEEP, p->a.depth - from);
    copy_left(&p->a, row, rows, from, depth, left);
    for (long n = column; n < columns; n++)
      for (long i = 0; i < rows; i += FULL_TALL)
        full_rows(p, row + i, n, from, depth, left + i * depth);
  }
  free(left);
  return 1;
}

/* ---- Halves ---- */

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512BF16__) && LANES == 16
#define HAS_TILES 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A panel is two tiles wide. Of each DEEP numbers of the depth it has four tiles: both upper
   halves, then both lower ones. DEEPER of those fours are gone through at once. */
enum { TILE = 16, PANEL = 2 * TILE, DEEP = 32, DEEPER = 16, NUMBERS = TILE * DEEP };
typedef unsigned short half;

INLINE __m512 whole(__m256i halves) {
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}

/* Halves of 32 numbers in a row, pairs of neighbours in 16 places. */
INLINE void split_along(const f32 *from, u32 wanted, __m512i *high, __m512i *low) {
  __m512 one = _mm512_maskz_loadu_ps((__mmask16)wanted, from);
  __m512 other = _mm512_maskz_loadu_ps((__mmask16)(wanted >> 16), from + TILE);
  *high = (__m512i)_mm512_cvtne2ps_pbh(other, one);
  one -= whole(_mm512_castsi512_si256(*high));
  other -= whole(_mm512_extracti64x4_epi64(*high, 1));
  *low = (__m512i)_mm512_cvtne2ps_pbh(other, one);
}

INLINE __m512i paired(__m256i one, __m256i other) {
  return _mm512_cvtepu16_epi32(one) | _mm512_slli_epi32(_mm512_cvtepu16_epi32(other), 16);
}

/* Halves of 16 numbers of two rows, each with the one below it. */
INLINE void split_across(const f32 *from, const f32 *below, u32 wanted, u32 wanted_below,
                         __m512i *high, __m512i *low) {
  __m512 one = _mm512_maskz_loadu_ps((__mmask16)wanted, from);
  __m512 other = _mm512_maskz_loadu_ps((__mmask16)wanted_below, below);
  __m256i first = (__m256i)_mm512_cvtneps_pbh(one), second = (__m256i)_mm512_cvtneps_pbh(other);
  *high = paired(first, second);
  first = (__m256i)_mm512_cvtneps_pbh(one - whole(first));
  second = (__m256i)_mm512_cvtneps_pbh(other - whole(second));
  *low = paired(first, second);
}

/* Rows become columns, 16 by 16. */
INLINE void turn_lines(__m512i *x) {
  __m512i y[TILE];
  for (int i = 0; i < TILE; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < TILE; i += 4)
    for (int j = 0; j < 2; j++) {
      x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + j + 2]);
      x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + j + 2]);
    }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) {
      y[i + 8 * j] = _mm512_shuffle_i32x4(x[i + 8 * j], x[i + 8 * j + 4], 0x88);
      y[i + 8 * j + 4] = _mm512_shuffle_i32x4(x[i + 8 * j], x[i + 8 * j + 4], 0xdd);
    }
  for (int i = 0; i < 8; i++) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
  }
}

/* So many ones, of 32. */
INLINE u32 ones(long count) {
  return count <= 0 ? 0 : count >= 32 ? ~0u : (1u << count) - 1;
}

/* Both halves of a tile: 16 outer rows from `first` on, a depth of 32. On the left each row of the
   tile is an outer row; on the right it is a pair of the depth. */
INLINE void split_tile(const side *s, long first, long from, int is_left, int is_along, half *high,
                       half *low) {
  __m512i upper[TILE], lower[TILE];
  const f32 *at = s->at + first * s->outer_step + from * s->depth_step;
  long outer = s->outer - first, depth = s->depth - from;
  for (int i = 0; i < TILE; i++)
    if (is_along) {
      u32 wanted = i < outer ? ones(depth) : 0;
      split_along(wanted ? at + i * s->outer_step : s->at, wanted, upper + i, lower + i);
    } else {
      u32 wanted = 2 * i < depth ? ones(outer) : 0, below = 2 * i + 1 < depth ? ones(outer) : 0;
      split_across(wanted ? at + 2 * i * s->depth_step : s->at,
                   below ? at + (2 * i + 1) * s->depth_step : s->at, wanted, below, upper + i,
                   lower + i);
    }
  if (is_left != is_along) turn_lines(upper), turn_lines(lower);
  for (int i = 0; i < TILE; i++) {
    _mm512_store_si512(high + i * DEEP, upper[i]);
    _mm512_store_si512(low + i * DEEP, lower[i]);
  }
}

INLINE void split_panel(const side *s, long panel, int is_left, int is_along, half *to) {
  for (long k = 0; k < over(s->depth, DEEP); k++, to += 4 * NUMBERS)
    for (int t = 0; t < 2; t++)
      split_tile(s, panel * PANEL + t * TILE, k * DEEP, is_left, is_along, to + t * NUMBERS,
                 to + (2 + t) * NUMBERS);
}

static long panel_bytes(const side *s) {
  return over(s->depth, DEEP) * 4 * NUMBERS * (long)sizeof(half);
}

static int split(const void *given, int unit) {
  const problem *p = given;
  int is_left = unit < p->rows;
  const side *s = is_left ? &p->a : &p->b;
  long panel = is_left ? unit : unit - p->rows;
  half *to = (half *)((is_left ? p->packed_a : p->packed_b) + panel * panel_bytes(s));
  if (is_left && s->depth_step == 1) split_panel(s, panel, 1, 1, to);
  else if (is_left) split_panel(s, panel, 1, 0, to);
  else if (s->depth_step == 1) split_panel(s, panel, 0, 1, to);
  else split_panel(s, panel, 0, 0, to);
  return 1;
}

/* Tiles 0 to 3 are the sums of two by two tiles; 4 and 5 are of the left, 6 and 7 of the right. */
#define MULTIPLY()           \
  _tile_dpbf16ps(0, 4, 6);   \
  _tile_dpbf16ps(1, 4, 7);   \
  _tile_dpbf16ps(2, 5, 6);   \
  _tile_dpbf16ps(3, 5, 7);
#define LEFT(x)                        \
  _tile_loadd(4, x, 2 * DEEP);         \
  _tile_loadd(5, (x) + NUMBERS, 2 * DEEP);
#define RIGHT(x)                       \
  _tile_loadd(6, x, 2 * DEEP);         \
  _tile_loadd(7, (x) + NUMBERS, 2 * DEEP);

static void tiles(const half *a, const half *b, long chunks, f32 *c, long step, int is_added) {
  long bytes = step * (long)sizeof(f32);
  if (is_added) {
    _tile_loadd(0, c, bytes);
    _tile_loadd(1, c + TILE, bytes);
    _tile_loadd(2, c + TILE * step, bytes);
    _tile_loadd(3, c + TILE * step + TILE, bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (long k = 0; k < chunks; k++, a += 4 * NUMBERS, b += 4 * NUMBERS) {
    LEFT(a + 2 * NUMBERS) RIGHT(b) MULTIPLY()
    LEFT(a) MULTIPLY()
    RIGHT(b + 2 * NUMBERS) MULTIPLY()
  }
  _tile_stored(0, c, bytes);
  _tile_stored(1, c + TILE, bytes);
  _tile_stored(2, c + TILE * step, bytes);
  _tile_stored(3, c + TILE * step + TILE, bytes);
}

static void tiled(const problem *p, long row, long column, long from, long chunks) {
  long across = least(PANEL, p->b.outer - column * PANEL);
  long down = least(PANEL, p->a.outer - row * PANEL);
  int is_added = p->is_added || from > 0;
  const half *a = (half *)(p->packed_a + row * panel_bytes(&p->a)) + from * 4 * NUMBERS;
  const half *b = (half *)(p->packed_b + column * panel_bytes(&p->b)) + from * 4 * NUMBERS;
  f32 *out = p->c + row * PANEL * p->step + column * PANEL;
  if (across == PANEL && down == PANEL) {
    tiles(a, b, chunks, out, p->step, is_added);
    return;
  }
  _Alignas(64) f32 part[PANEL * PANEL] = {0};
  for (long i = 0; i < down && is_added; i++)
    memcpy(part + i * PANEL, out + i * p->step, sizeof(f32) * (size_t)across);
  __asm__ volatile("" ::: "memory");
  tiles(a, b, chunks, part, PANEL, is_added);
  __asm__ volatile("" ::: "memory");
  for (long i = 0; i < down; i++)
    memcpy(out + i * p->step, part + i * PANEL, sizeof(f32) * (size_t)across);
}

static int tiled_unit(const void *given, int unit) {
  const problem *p = given;
  _Alignas(64) struct { u8 palette, start, none[14]; unsigned short width[16]; u8 height[16]; } shape = {1};
  for (int i = 0; i < 8; i++) shape.width[i] = 2 * DEEP, shape.height[i] = TILE;
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&shape);
  long row = unit / p->across * p->tall, column = unit % p->across * p->wide;
  long rows = least(row + p->tall, p->rows), columns = least(column + p->wide, p->columns);
  long chunks = over(p->a.depth, DEEP);
  for (long from = 0; from < chunks; from += DEEPER)
    for (long n = column; n < columns; n++)
      for (long m = row; m < rows; m++) tiled(p, m, n, from, least(DEEPER, chunks - from));
  _tile_release();
  return 1;
}

/* Linux saves the tiles of a process that has asked for it. */
static int has_tiles(void) {
  static atomic_int known;
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  int found = atomic_load(&known);
  if (!found) {
    found = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) ? -1 : 1;
    atomic_store(&known, found);
  }
  return found > 0;
}
#else
#define HAS_TILES 0
static int has_tiles(void) { return 0; }
#endif

/* Whether numbers can be split here. */
int multiply_has_tiles(void) { return has_tiles(); }

/* ---- What XLA calls ---- */

/* Units of some panels each, eight or more where there are as many. */
static void share_out(problem *p, long rows, long columns, long tall) {
  p->rows = rows, p->columns = columns;
  p->tall = least(tall, over(rows, 4));
  long down = over(rows, p->tall), wanted = least(columns, over(8, down));
  p->wide = over(columns, wanted);
  p->across = over(columns, p->wide);
}

static int by_tiles(XLA_FFI_CallFrame *frame, problem *p) {
#if HAS_TILES
  share_out(p, over(p->a.outer, PANEL), over(p->b.outer, PANEL), 8);
  return share(frame, p, p->rows + (p->is_packed ? 0 : p->columns), 1, split) &&
         share(frame, p, over(p->rows, p->tall) * p->across, 1, tiled_unit);
#else
  return 0;
#endif
}

static int by_numbers(XLA_FFI_CallFrame *frame, problem *p) {
  share_out(p, over(p->a.outer, FULL_TALL), over(p->b.outer, FULL_WIDE), FULL_ROWS);
  return (p->is_packed || share(frame, p, p->columns, 1, copy_full)) &&
         share(frame, p, over(p->rows, p->tall) * p->across, 1, full_unit);
}

/* Some outer rows of a side and some of its depth. */
static side part_of(const side *s, long first, long outer, long from, long depth) {
  return (side){s->at + first * s->outer_step + from * s->depth_step, least(outer, s->outer - first),
                least(depth, s->depth - from), s->outer_step, s->depth_step};
}

/* Outer rows of a side that are copied at once: whole panels and units of both ways. */
static long at_once(const side *s) {
  enum { EVENLY = 768 };
  long depth = over(least(s->depth, MOST_DEEP), 32) * 32;
  return least(over(over(MOST_NUMBERS, depth), EVENLY), over(s->outer, EVENLY)) * EVENLY;
}

static int in_parts(XLA_FFI_CallFrame *frame, const problem *whole, int is_split) {
  long rows = at_once(&whole->a), columns = at_once(&whole->b);
  long depth = over(least(whole->a.depth, MOST_DEEP), 32) * 32;
  size_t left = is_split ? sizeof(f32) * (size_t)(rows * depth) : 0;
  char *memory = borrow(left + sizeof(f32) * (size_t)(columns * depth));
  int is_done = memory != 0;
  for (long k = 0; k < whole->a.depth && is_done; k += MOST_DEEP)
    for (long n = 0; n < whole->b.outer && is_done; n += columns)
      for (long m = 0; m < whole->a.outer && is_done; m += rows) {
        problem p = {.a = part_of(&whole->a, m, rows, k, MOST_DEEP),
                     .b = part_of(&whole->b, n, columns, k, MOST_DEEP),
                     .c = whole->c + m * whole->step + n, .step = whole->step, .is_added = k > 0,
                     .packed_a = memory, .packed_b = memory + left, .is_packed = m > 0};
        is_done = (is_split ? by_tiles : by_numbers)(frame, &p);
      }
  if (memory) give_back(memory);
  return is_done;
}

/* Attribute: "split" (whether numbers may be split). */
static XLA_FFI_Error *product(XLA_FFI_CallFrame *frame, int is_left_turned, int is_right_turned) {
  if (describes(frame)) return 0;
  const int64_t *a = GIVEN(0)->dims, *b = GIVEN(1)->dims, *may_split = ATTRIBUTE(0);
  const f32 *left = GIVEN(0)->data, *right = GIVEN(1)->data;
  problem p = {.a = {left, a[0], a[1], a[1], 1}, .b = {right, b[1], b[0], 1, b[1]},
               .c = RESULT(0)->data};
  if (is_left_turned) p.a = (side){left, a[1], a[0], 1, a[1]};
  if (is_right_turned) p.b = (side){right, b[0], b[1], b[1], 1};
  p.step = p.b.outer;
  return in_parts(frame, &p, *may_split && has_tiles()) ? 0 : no_memory(frame);
}

/* a [rows, depth], b [depth, columns] */
XLA_FFI_Error *multiply(XLA_FFI_CallFrame *frame) { return product(frame, 0, 0); }
/* a [rows, depth], b [columns, depth] */
XLA_FFI_Error *multiply_turned_right(XLA_FFI_CallFrame *frame) { return product(frame, 0, 1); }
/* a [depth, rows], b [depth, columns] */
XLA_FFI_Error *multiply_turned_left(XLA_FFI_CallFrame *frame) { return product(frame, 1, 0); }
