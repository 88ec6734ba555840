/* A decoder (`models/gpt.py`) that writes one text: tokens are read after those whose keys and
   values are kept.

   To read a token takes reading all weights, which is most of the time it takes; several tokens
   read together take hardly longer. So it is drafted how the text goes on, by weights rounded to
   eight bits, a quarter of the bytes, and what was drafted is then read as it is. */

#include <stdlib.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

/* Rows that are multiplied together, those read at once, and threads, as in `threads.py`. */
enum { MOST_ROWS = 8, MOST_READ = 32, MOST_THREADS = 4 };

/* ---- What is read; the order of everything is `decoder.py`'s ---- */

/* The weights of each result lie together. */
typedef struct { const f32 *weights, *bias, *scales; const i8 *rounded; long columns, depth; } dense;
typedef struct { const f32 *gamma, *beta; } norm;
/* Keys are kept turned, [heads, size, room], values [heads, room, size]. */
typedef struct { norm before; dense joined, mixed; norm between; dense hidden, last; f32 *keys, *values; } block;
typedef struct {
  const block *blocks;
  const f32 *table, *positions, *turns;
  norm after;
  dense logits;
  long depth, dim, heads, length, room;
  f32 epsilon;
} decoder;

/* One text. `next` was chosen and is not read; `noise` has a row for each token after it. */
typedef struct {
  i32 *text;
  long size, place;
  i32 next, end;
  const f32 *noise;
  const u8 *banned;
  u8 *seen;
  f32 temperature, top_p, penalty;
  i32 top_k, repeats;
} writing;

typedef struct {
  const decoder *of;
  /* Either a prompt is read or some tokens are written, `drafted` of them at once. */
  const i32 *prompt;
  long count, drafted;
  writing *to;
  f32 *logits, *room;
  i32 row[MOST_ROWS];
  long right, threads;
  int home;
  atomic_int go;
  meeting met;
} problem;
typedef struct { problem *of; long t; } part;

static long least(long a, long b) { return a < b ? a : b; }
static long whole(long n) { return (n + LANES - 1) / LANES * LANES; }

/* ---- Products of few rows ---- */

#if LANES == 16
#define LOAD_BYTES(p) \
  ((vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(p)))))
#elif defined(__AVX2__)
#define LOAD_BYTES(p) \
  ((vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p)))))
#else
INLINE vec load_bytes(const i8 *p) {
  vec found;
  for (int i = 0; i < LANES; i++) found[i] = (f32)p[i];
  return found;
}
#define LOAD_BYTES(p) load_bytes(p)
#endif

/* R rows of x by W results of a layer, beginning with the n-th. */
INLINE void tile(const dense *of, int R, int W, int is_rounded, const f32 *x, long wide, long n,
                 f32 *y, long step) {
  long depth = of->depth, even = depth / LANES * LANES;
  const f32 *w = of->weights + n * depth;
  const i8 *q = of->rounded + n * depth;
  vec sums[MOST_ROWS][4];
  for (int r = 0; r < R; r++)
    for (int i = 0; i < W; i++) sums[r][i] = (vec){0};
  for (long k = 0; k < even; k += LANES) {
    vec each[4];
    for (int i = 0; i < W; i++) {
      each[i] = is_rounded ? LOAD_BYTES(q + i * depth + k) : LOAD(w + i * depth + k);
      HELD(each[i]);
    }
    for (int r = 0; r < R; r++) {
      vec given = LOAD(x + r * wide + k);
      for (int i = 0; i < W; i++) sums[r][i] += given * each[i];
    }
  }
  for (int r = 0; r < R; r++)
    for (int i = 0; i < W; i++) {
      f32 sum = total(sums[r][i]);
      for (long k = even; k < depth; k++)
        sum += x[r * wide + k] * (is_rounded ? (f32)q[i * depth + k] : w[i * depth + k]);
      if (is_rounded) sum *= of->scales[n + i];
      y[r * step + n + i] = sum + (of->bias ? of->bias[n + i] : 0.0f);
    }
}

INLINE void tiles(const dense *of, int R, int W, int is_rounded, const f32 *x, long wide, f32 *y,
                  long step, long from, long to) {
  long n = from;
  for (; n + W <= to; n += W) tile(of, R, W, is_rounded, x, wide, n, y, step);
  for (; n < to; n++) tile(of, R, 1, is_rounded, x, wide, n, y, step);
}

#ifdef __AVX512F__
enum { WIDE_OF_ONE = 4, WIDE_OF_FOUR = 4, WIDE_OF_EIGHT = 2 };
#else
enum { WIDE_OF_ONE = 4, WIDE_OF_FOUR = 2, WIDE_OF_EIGHT = 1 };
#endif

static void some_results(const dense *of, long rows, int is_rounded, const f32 *x, long wide,
                         f32 *y, long step, long from, long to) {
#define ROWS(R, W) case R: tiles(of, R, W, 0, x, wide, y, step, from, to); return;
  if (is_rounded) tiles(of, 1, WIDE_OF_ONE, 1, x, wide, y, step, from, to);
  else switch (rows) {
    ROWS(1, WIDE_OF_ONE) ROWS(2, WIDE_OF_FOUR) ROWS(3, WIDE_OF_FOUR) ROWS(4, WIDE_OF_FOUR)
    ROWS(5, WIDE_OF_EIGHT) ROWS(6, WIDE_OF_EIGHT) ROWS(7, WIDE_OF_EIGHT) ROWS(8, WIDE_OF_EIGHT)
  }
}

/* Results `from` to `to` of a layer for each row; weights stay in the cache for the next rows. */
static void results(const dense *of, long rows, int is_rounded, const f32 *x, long wide, f32 *y,
                    long step, long from, long to) {
  long columns = rows > MOST_ROWS ? 2 * WIDE_OF_EIGHT : to - from;
  for (; from < to; from += columns)
    for (long r = 0; r < rows; r += MOST_ROWS)
      some_results(of, least(MOST_ROWS, rows - r), is_rounded, x + r * wide, wide, y + r * step,
                   step, from, least(to, from + columns));
}

/* ---- The other parts ---- */

static void normalized(const norm *of, long rows, long dim, f32 epsilon, const f32 *x, f32 *y) {
  for (long r = 0; r < rows; r++, x += dim, y += dim) {
    f32 sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (long i = 0; i < dim; i++) sum += x[i];
    f32 mean = sum / (f32)dim;
#pragma omp simd reduction(+ : squares)
    for (long i = 0; i < dim; i++) squares += (x[i] - mean) * (x[i] - mean);
    f32 scale = 1.0f / sqrtf(squares / (f32)dim + epsilon);
    for (long i = 0; i < dim; i++) y[i] = (x[i] - mean) * scale * of->gamma[i] + of->beta[i];
  }
}

static void gelu(f32 *x, long count) {
#pragma omp simd
  for (long i = 0; i < count; i++) {
    f32 inner = 0.7978845608028654f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    x[i] *= 0.5f * (1.0f + tanh_f32(inner));
  }
}

/* The halves of a vector turned against each other by the angles of its place. */
static void turned(const decoder *of, long size, long place, const f32 *x, f32 *y) {
  long half = size / 2;
  if (!of->turns) {
    memcpy(y, x, sizeof(f32) * (size_t)size);
    return;
  }
  const f32 *sines = of->turns + place * half, *cosines = sines + of->length * half;
  for (long i = 0; i < half; i++) {
    y[i] = x[i] * cosines[i] - x[half + i] * sines[i];
    y[half + i] = x[half + i] * cosines[i] + x[i] * sines[i];
  }
}

/* How keys suit R queries, for whole vectors of keys. */
INLINE void suited(int R, const f32 *keys, long room, long count, const f32 *queries, long size,
                   f32 *scores) {
  for (long j = 0; j < count; j += LANES) {
    vec sums[MOST_ROWS];
    for (int r = 0; r < R; r++) sums[r] = (vec){0};
    for (long i = 0; i < size; i++) {
      vec key = LOAD(keys + i * room + j);
      for (int r = 0; r < R; r++) sums[r] += spread(queries[r * size + i]) * key;
    }
    for (int r = 0; r < R; r++) STORE(scores + r * room + j, sums[r]);
  }
}

/* Values mixed by scores, which become their shares. */
static void mixed_by(f32 *shares, long count, const f32 *values, long size, f32 *out) {
  f32 highest = shares[0], sum = 0;
#pragma omp simd reduction(max : highest)
  for (long j = 0; j < count; j++) highest = shares[j] > highest ? shares[j] : highest;
#pragma omp simd reduction(+ : sum)
  for (long j = 0; j < count; j++) sum += shares[j] = exp_f32(shares[j] - highest);
  long i = 0;
#define VECTORS(W)                                                                     \
  for (; i + W * LANES <= size; i += W * LANES) {                                      \
    vec sums[W] = {0};                                                                 \
    for (long j = 0; j < count; j++)                                                   \
      for (int n = 0; n < W; n++)                                                      \
        sums[n] += spread(shares[j]) * LOAD(values + j * size + i + n * LANES);        \
    for (int n = 0; n < W; n++) STORE(out + i + n * LANES, sums[n] / spread(sum));     \
  }
  VECTORS(4)
  VECTORS(1)
  for (; i < size; i++) {
    f32 found = 0;
    for (long j = 0; j < count; j++) found += shares[j] * values[j * size + i];
    out[i] = found / sum;
  }
}

/* One head: its new keys and values are kept, and values mixed by how keys suit queries. */
static void attended(const decoder *of, const block *in, long head, long rows, long place,
                     const f32 *joined, f32 *mixed, f32 *own) {
  long size = of->dim / of->heads, room = of->room, dim = of->dim;
  f32 *keys = in->keys + head * size * room, *values = in->values + head * room * size;
  f32 *scores = own + whole(MOST_READ * size), scale = 1.0f / sqrtf((f32)size);
  for (long r = 0; r < rows; r++) {
    const f32 *parts = joined + r * 3 * dim + head * size;
    long at = least(place + r, of->length - 1);
    f32 *query = own + r * size;
    turned(of, size, at, parts + dim, query);
    for (long i = 0; i < size; i++) keys[i * room + place + r] = query[i];
    turned(of, size, at, parts, query);
    for (long i = 0; i < size; i++) query[i] *= scale;
    memcpy(values + (place + r) * size, parts + 2 * dim, sizeof(f32) * (size_t)size);
  }
  for (long first = 0; first < rows; first += MOST_ROWS) {
    long count = least(MOST_ROWS, rows - first), known = place + first + count;
    const f32 *queries = own + first * size;
    /* With some rows too many, of which nothing is read. */
    if (count == 1) suited(1, keys, room, known, queries, size, scores);
    else if (count <= 4) suited(4, keys, room, known, queries, size, scores);
    else suited(8, keys, room, known, queries, size, scores);
    for (long r = 0; r < count; r++)
      mixed_by(scores + r * room, place + first + r + 1, values, size,
               mixed + (first + r) * dim + head * size);
  }
}

/* Some tokens read from a place on, by all threads: the logits after each, or after the last. */
static void read_some(problem *p, const i32 *tokens, long rows, long place, int is_rounded,
                      int is_prompt, long t) {
  const decoder *of = p->of;
  long T = p->threads, dim = of->dim, hidden = of->blocks->hidden.columns;
  f32 *x = p->room, *joined = x + whole(MOST_READ * dim);
  f32 *mixed = joined + whole(MOST_READ * 3 * dim), *inner = mixed + whole(MOST_READ * dim);
  f32 *normal = inner + whole(MOST_READ * hidden) +
                t * (2 * whole(MOST_READ * dim) + MOST_ROWS * of->room);
  f32 *own = normal + whole(MOST_READ * dim);
#define PART(n) (n) / 4 * t / T * 4, t == T - 1 ? (n) : (n) / 4 * (t + 1) / T * 4
  for (long r = 0; r < rows && t == 0; r++) {
    const f32 *row = of->table + tokens[r] * dim;
    const f32 *at = of->positions ? of->positions + least(place + r, of->length - 1) * dim : 0;
    for (long i = 0; i < dim; i++) x[r * dim + i] = row[i] + (at ? at[i] : 0.0f);
  }
  meet(&p->met, T);
  /* Each thread adds the columns that it has, while nobody reads x. */
#define ADDED(layer, from, wide)                                                          \
  {                                                                                       \
    long bounds[2] = {PART(dim)};                                                         \
    results(&in->layer, rows, is_rounded, from, wide, own, dim, bounds[0], bounds[1]);    \
    for (long r = 0; r < rows; r++)                                                       \
      for (long i = bounds[0]; i < bounds[1]; i++) x[r * dim + i] += own[r * dim + i];    \
    meet(&p->met, T);                                                                     \
  }
  for (long n = 0; n < of->depth; n++) {
    const block *in = of->blocks + n;
    normalized(&in->before, rows, dim, of->epsilon, x, normal);
    results(&in->joined, rows, is_rounded, normal, dim, joined, 3 * dim, PART(3 * dim));
    meet(&p->met, T);
    for (long head = FROM(of->heads); head < TO(of->heads); head++)
      attended(of, in, head, rows, place, joined, mixed, own);
    meet(&p->met, T);
    ADDED(mixed, mixed, dim)
    normalized(&in->between, rows, dim, of->epsilon, x, normal);
    long bounds[2] = {PART(hidden)};
    results(&in->hidden, rows, is_rounded, normal, dim, inner, hidden, bounds[0], bounds[1]);
    for (long r = 0; r < rows; r++) gelu(inner + r * hidden + bounds[0], bounds[1] - bounds[0]);
    meet(&p->met, T);
    ADDED(last, inner, hidden)
  }
  long first = is_prompt ? rows - 1 : 0, vocabulary = of->logits.columns;
  normalized(&of->after, rows - first, dim, of->epsilon, x + first * dim, normal);
  results(&of->logits, rows - first, is_rounded, normal, dim, p->logits, vocabulary,
          PART(vocabulary));
  meet(&p->met, T);
}

/* ---- Which token comes next: as `models/choosing.py` has it ---- */

static int falls(const void *a, const void *b) {
  f32 x = *(const f32 *)a, y = *(const f32 *)b;
  return (x < y) - (x > y);
}

/* The k-th largest of some numbers, which are put in another order (Hoare's quickselect). */
static f32 largest(f32 *x, long size, long k) {
  long low = 0, high = size - 1;
  while (low < high) {
    f32 middle = x[(low + high) / 2];
    long i = low, j = high;
    while (i <= j) {
      while (x[i] > middle) i++;
      while (x[j] < middle) j--;
      if (i <= j) {
        f32 other = x[i];
        x[i++] = x[j], x[j--] = other;
      }
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break;
  }
  return x[k - 1];
}

/* Scores outside of the likeliest `top_k`, or of a share `top_p`, become -inf. */
static void cut(const writing *how, f32 *scores, long size, f32 *room) {
  f32 border = -INFINITY, highest = scores[0], sum = 0;
  if (how->top_k > 0 && how->top_k < size) {
    memcpy(room, scores, sizeof(f32) * (size_t)size);
    border = largest(room, size, how->top_k);
  }
  if (how->top_p < 1.0f) {
    for (long i = 1; i < size; i++) highest = scores[i] > highest ? scores[i] : highest;
    for (long i = 0; i < size; i++)
      if (scores[i] >= border) sum += exp_f32(scores[i] - highest);
    /* What is left out has together less than what lies outside of the share. */
    f32 least_share = (1.0f - how->top_p) / (f32)size;
    long count = 0, inside = 0;
    for (long i = 0; i < size; i++)
      if (scores[i] == highest ||
          (scores[i] >= border && exp_f32(scores[i] - highest) / sum >= least_share))
        room[count++] = scores[i];
    qsort(room, (size_t)count, sizeof(f32), falls);
    for (f32 before = 0; inside < count && (inside == 0 || before < how->top_p); inside++)
      before += exp_f32(room[inside] - highest) / sum;
    if (inside) border = room[inside - 1];
  }
  for (long i = 0; i < size; i++)
    if (!(scores[i] >= border)) scores[i] = -INFINITY;
}

/* The token that `number` tokens after the next one is chosen by its logits. */
static i32 chosen(const writing *how, const f32 *logits, long size, long number, const u8 *seen,
                  f32 *room) {
  f32 *scores = room;
  for (long i = 0; i < size; i++) {
    f32 x = logits[i];
    if (seen[i] && how->penalty != 1.0f) x = x > 0 ? x / how->penalty : x * how->penalty;
    scores[i] = how->banned[i] ? -INFINITY : x;
  }
  if (how->temperature > 0) {
    f32 under = how->temperature > 1e-6f ? how->temperature : 1e-6f;
    for (long i = 0; i < size; i++) scores[i] /= under;
    if (how->top_k > 0 || how->top_p < 1.0f) cut(how, scores, size, room + size);
    for (long i = 0; i < size; i++) scores[i] += how->noise[number * size + i];
  }
  /* The first that is no number counts as the largest, as in XLA. */
  long best = 0;
  for (long i = 1; i < size && scores[best] == scores[best]; i++)
    if (scores[i] > scores[best] || scores[i] != scores[i]) best = i;
  return (i32)best;
}

/* What followed the last of the places where the text was most like its end. */
enum { MOST_ALIKE = 8 };
static void sought(const i32 *text, long size, i32 *guesses, long count) {
  long best = 0, most = -1;
  for (long j = size - 2; j >= 0 && most < MOST_ALIKE; j--) {
    long alike = 0;
    while (alike < MOST_ALIKE && alike <= j && text[j - alike] == text[size - 1 - alike]) alike++;
    if (alike > most) most = alike, best = j;
  }
  /* What has come around goes on coming around. */
  long period = size - 1 - best > 0 ? size - 1 - best : 1;
  for (long i = 0; i < count; i++) guesses[i] = size < 2 ? text[0] : text[best + 1 + i % period];
}

/* ---- A text ---- */

enum { LEAST_REPEATED = 3 };

/* The next token and what may follow it are read: `row`, of which `right` guesses were right. */
static void write_some(problem *p, long t) {
  writing *to = p->to;
  long size = p->of->logits.columns, left = p->of->length - to->place - 1;
  long count = least(to->repeats ? MOST_ROWS - 1 : p->drafted, left > 0 ? left : 0);
  u8 *seen = to->seen + size;
  f32 *room = p->logits + MOST_ROWS * size;
  i32 alike[MOST_ROWS];
  if (t == 0) {
    to->seen[to->next] = 1;
    to->text[to->size++] = p->row[0] = to->next;
    sought(to->text, to->size, alike + 1, MOST_ROWS - 1);
    memcpy(seen, to->seen, (size_t)size);
    if (to->repeats) memcpy(p->row + 1, alike + 1, sizeof(i32) * (MOST_ROWS - 1));
  }
  meet(&p->met, p->threads);
  for (long n = 0; n < count && !to->repeats; n++) {
    read_some(p, p->row + n, 1, to->place + n, 1, 0, t);
    if (t == 0) {
      p->row[n + 1] = chosen(to, p->logits, size, n, seen, room);
      seen[p->row[n + 1]] = 1;
    }
    meet(&p->met, p->threads);
  }
  read_some(p, p->row, 1 + count, to->place, 0, 0, t);
  if (t) return;
  long right = 0, repeated = 0;
  while (p->row[right] != to->end) {
    to->next = chosen(to, p->logits + right * size, size, right, to->seen, room);
    if (right == count || to->next != p->row[right + 1]) break;
    repeated += repeated == right && alike[right + 1] == to->next;
    to->seen[to->next] = 1;
    to->text[to->size++] = to->next;
    right++;
  }
  to->place += 1 + right;
  to->repeats = repeated >= LEAST_REPEATED;
  p->right = right;
}

static void *work(void *given) {
  problem *p = ((part *)given)->of;
  long t = ((part *)given)->t;
  while (!atomic_load(&p->go)) sched_yield();
  places before;
  hold(&before, t, p->threads, p->home);
#ifdef __SSE__
  /* Numbers too small to be normal are zero, as in XLA. */
  unsigned mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(mode | 0x8040);
#endif
  if (p->prompt) {
    for (long n = 0; n < p->count; n += MOST_READ)
      read_some(p, p->prompt + n, least(MOST_READ, p->count - n), n, 0, 1, t);
    if (t == 0)
      p->to->next = chosen(p->to, p->logits, p->of->logits.columns, 0, p->to->seen,
                           p->logits + MOST_ROWS * p->of->logits.columns);
  } else write_some(p, t);
#ifdef __SSE__
  __builtin_ia32_ldmxcsr(mode);
#endif
  let_go(&before, p->threads);
  return 0;
}

static void done_by(problem *p, long threads) {
  pthread_t others[MOST_THREADS];
  part parts[MOST_THREADS];
  for (long t = 0; t < threads; t++) parts[t] = (part){p, t};
  long started = 1;
  while (started < threads && !pthread_create(others + started, 0, work, parts + started))
    started++;
  p->threads = started;
  p->home = processor();
  atomic_store(&p->go, 1);
  work(parts);
  for (long t = 1; t < started; t++) pthread_join(others[t], 0);
}

/* Numbers of memory that the work needs. */
long decoder_room(const decoder *of, long threads) {
  long dim = whole(MOST_READ * of->dim);
  return 2 * dim + whole(MOST_READ * 3 * of->dim) + whole(MOST_READ * of->blocks->hidden.columns) +
         threads * (2 * dim + MOST_ROWS * of->room) + LANES;
}

/* Read a prompt, and choose what follows it by the first row of noise. */
void decoder_begin(const decoder *of, writing *to, const i32 *prompt, long count, f32 *logits,
                   f32 *room, long threads) {
  problem p = {.of = of, .prompt = prompt, .count = count, .to = to, .logits = logits, .room = room};
  done_by(&p, threads);
  to->place = count;
}

/* Write some tokens, `row`: how many. The one after them is chosen. */
long decoder_write(const decoder *of, writing *to, long drafted, i32 *row, f32 *logits, f32 *room,
                   long threads) {
  problem p = {.of = of, .drafted = drafted, .to = to, .logits = logits, .room = room};
  done_by(&p, threads);
  memcpy(row, p.row, sizeof(i32) * (size_t)(p.right + 1));
  return p.right + 1;
}
