/* Attention of several heads, and its gradients, for XLA to call.

   Scores are never written down as a whole: a block of rows at a time is computed, mixed and left.
   Backwards they are computed again, from the logarithm of each row's sum (Dao et al. 2022,
   arXiv:2205.14135). What lies above the diagonal is left out where a position sees none after it.
   Queries, keys and values are [batch, time, heads, size], float32, the size whole vectors, or one
   array [batch, time, 3, heads, size] of all three; queries and keys may be turned by their places
   (Su et al. 2021, arXiv:2104.09864). Each head of each row is one unit of work, added up in an
   order of its own. */

enum { BLOCK = 32, AT_ONCE = 4, MANY = LANES == 16 ? 4 : 2 };

/* A score that must not be seen is this, as in Keras' layer; finite. */
#define NEGATIVE -1e30f

typedef struct {
  const f32 *q, *k, *v, *o, *sums, *go;
  f32 *out, *logs, *gq, *gk, *gv;
  const u8 *allowed;
  /* Sines and cosines of each place, [time, size / 2] each; or nothing. */
  const f32 *sines, *cosines;
  long batch, rows, keys, heads, size;
  /* From one place to the next, of queries, of keys and values, and of what is mixed. */
  long q_step, k_step, o_step;
  /* Rows of the mask: none, one for all, or each its own. */
  long masks;
  int is_causal;
  u32 limit, seed, mixer;
  f32 scale, kept;
} problem;

/* ---- Products: c[i][j] (+)= sum over l of a[i * ai + l * al] * b[l * bl + j] ---- */

INLINE void tile(int R, int N, long depth, const f32 *a, long ai, long al, const f32 *b, long bl,
                 f32 *c, long cl, int is_added) {
  vec sums[4][4];
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) sums[i][n] = is_added ? LOAD(c + i * cl + n * LANES) : (vec){0};
  for (long l = 0; l < depth; l++) {
    vec right[4];
    for (int n = 0; n < N; n++) right[n] = LOAD(b + l * bl + n * LANES);
    for (int i = 0; i < R; i++) {
      vec left = spread(a[i * ai + l * al]);
      for (int n = 0; n < N; n++) sums[i][n] += left * right[n];
    }
  }
  for (int i = 0; i < R; i++)
    for (int n = 0; n < N; n++) STORE(c + i * cl + n * LANES, sums[i][n]);
}

/* `columns` are whole vectors. */
static void product(long rows, long columns, long depth, const f32 *a, long ai, long al,
                    const f32 *b, long bl, f32 *c, long cl, int is_added) {
  long j = 0;
  for (; j + MANY * LANES <= columns; j += MANY * LANES) {
    long i = 0;
    for (; i + 4 <= rows; i += 4)
      tile(4, MANY, depth, a + i * ai, ai, al, b + j, bl, c + i * cl + j, cl, is_added);
    for (; i < rows; i++)
      tile(1, MANY, depth, a + i * ai, ai, al, b + j, bl, c + i * cl + j, cl, is_added);
  }
  for (; j < columns; j += LANES) {
    long i = 0;
    for (; i + 4 <= rows; i += 4)
      tile(4, 1, depth, a + i * ai, ai, al, b + j, bl, c + i * cl + j, cl, is_added);
    for (; i < rows; i++)
      tile(1, 1, depth, a + i * ai, ai, al, b + j, bl, c + i * cl + j, cl, is_added);
  }
}

/* ---- Rows ---- */

#define EVEN(n) (((n) + LANES - 1) / LANES * LANES)
/* Rows of turned keys begin where no other's lines of the cache are. */
#define WIDE(n) (EVEN(n) + LANES)

INLINE u32 mixed(u32 x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/* The factors of dropout, by place, as in `models/dropping.py`. */
INLINE void drop(const problem *p, long head, long row, long count, f32 *factors) {
  u32 start = (u32)((head * p->rows + row) * p->keys);
#pragma omp simd
  for (long k = 0; k < count; k++) {
    u32 bits = mixed(mixed((start + (u32)k) ^ p->seed) ^ p->mixer);
    factors[k] = pick_f32(bits >= p->limit, p->kept, 0.0f);
  }
}

/* What a row may see of its first `seen` scores, made `scale` times as large. */
INLINE void masked(const problem *p, long image, long row, long seen, f32 *scores) {
  if (!p->masks) {
#pragma omp simd
    for (long k = 0; k < seen; k++) scores[k] *= p->scale;
    return;
  }
  const u8 *allowed = p->allowed + (image * p->masks + (p->masks > 1 ? row : 0)) * p->keys;
#pragma omp simd
  for (long k = 0; k < seen; k++) scores[k] = pick_f32(allowed[k] != 0, scores[k] * p->scale, NEGATIVE);
}

/* Scores become shares; the logarithm of their sum is given back. A row that sees nothing has
   shares of nothing. */
INLINE f32 shared(long seen, f32 *scores) {
  f32 most = NEGATIVE, sum = 0;
#pragma omp simd reduction(max : most)
  for (long k = 0; k < seen; k++) most = most > scores[k] ? most : scores[k];
  if (most <= NEGATIVE) {
    memset(scores, 0, sizeof(f32) * (size_t)seen);
    return INFINITY;
  }
#pragma omp simd reduction(+ : sum)
  for (long k = 0; k < seen; k++) {
    f32 share = exp_f32(scores[k] - most);
    scores[k] = share;
    sum += share;
  }
  f32 factor = 1.0f / sum;
#pragma omp simd
  for (long k = 0; k < seen; k++) scores[k] *= factor;
  return most + log_f32(sum);
}

/* Some places' vectors side by side, turned if vectors are; or turned back. */
INLINE void gathered(const problem *p, const f32 *from, long step, long first, long count, f32 *to) {
  long half = p->size / 2;
  for (long r = 0; r < count; r++, from += step, to += p->size) {
    if (!p->sines) {
      memcpy(to, from, sizeof(f32) * (size_t)p->size);
      continue;
    }
    const f32 *sine = p->sines + (first + r) * half, *cosine = p->cosines + (first + r) * half;
#pragma omp simd
    for (long i = 0; i < half; i++) {
      f32 one = from[i], other = from[half + i];
      to[i] = one * cosine[i] - other * sine[i];
      to[half + i] = other * cosine[i] + one * sine[i];
    }
  }
}

INLINE void scattered(const problem *p, const f32 *from, long first, long count, f32 *to, long step) {
  long half = p->size / 2;
  for (long r = 0; r < count; r++, from += p->size, to += step) {
    if (!p->sines) {
      memcpy(to, from, sizeof(f32) * (size_t)p->size);
      continue;
    }
    const f32 *sine = p->sines + (first + r) * half, *cosine = p->cosines + (first + r) * half;
#pragma omp simd
    for (long i = 0; i < half; i++) {
      f32 one = from[i], other = from[half + i];
      to[i] = one * cosine[i] + other * sine[i];
      to[half + i] = other * cosine[i] - one * sine[i];
    }
  }
}

/* Memory for so many numbers, whole lines of the cache. */
static f32 *numbers(long count) {
  return aligned_alloc(64, (sizeof(f32) * (size_t)count + 63) / 64 * 64);
}

/* ---- Forwards ---- */

static int mix(const void *given, int unit) {
  const problem *p = given;
  long image = unit / p->heads, head = unit % p->heads, size = p->size, wide = WIDE(p->keys);
  f32 *turned = numbers(wide * (size + BLOCK + 1) + (p->keys + BLOCK) * size);
  if (!turned) return 0;
  f32 *scores = turned + wide * size, *factors = scores + wide * BLOCK, *keyed = factors + wide;
  f32 *asked = keyed + p->keys * size;
  const f32 *q = p->q + image * p->rows * p->q_step + head * size;
  const f32 *v = p->v + image * p->keys * p->k_step + head * size;
  f32 *out = p->out + image * p->rows * p->o_step + head * size;
  gathered(p, p->k + image * p->keys * p->k_step + head * size, p->k_step, 0, p->keys, keyed);
  memset(turned, 0, sizeof(f32) * (size_t)(wide * size));
  turn(keyed, size, p->keys, size, turned, wide);
  for (long from = 0; from < p->rows; from += BLOCK) {
    long rows = p->rows - from < BLOCK ? p->rows - from : BLOCK;
    long keys = p->is_causal && from + rows < p->keys ? from + rows : p->keys;
    gathered(p, q + from * p->q_step, p->q_step, from, rows, asked);
    product(rows, EVEN(keys), size, asked, size, 1, turned, wide, scores, wide, 0);
    for (long r = 0; r < rows; r++) {
      f32 *row = scores + r * wide;
      long seen = p->is_causal && from + r + 1 < keys ? from + r + 1 : keys;
      masked(p, image, from + r, seen, row);
      p->logs[unit * p->rows + from + r] = shared(seen, row);
      if (p->limit) {
        drop(p, unit, from + r, seen, factors);
#pragma omp simd
        for (long i = 0; i < seen; i++) row[i] *= factors[i];
      }
      for (long i = seen; i < keys; i++) row[i] = 0;
    }
    f32 *to = out + from * p->o_step;
    product(rows, size, keys, scores, wide, 1, v, p->k_step, to, p->o_step, 0);
  }
  free(turned);
  return 1;
}

/* ---- Backwards ---- */

static int unmix(const void *given, int unit) {
  const problem *p = given;
  long image = unit / p->heads, head = unit % p->heads, size = p->size, wide = WIDE(p->keys);
  f32 *turned_keys = numbers(wide * (2 * size + 2 * BLOCK + 1) + 2 * (p->keys + BLOCK) * size);
  if (!turned_keys) return 0;
  f32 *turned_values = turned_keys + wide * size, *shares = turned_values + wide * size;
  f32 *slopes = shares + wide * BLOCK, *factors = slopes + wide * BLOCK, *keyed = factors + wide;
  f32 *of_keys = keyed + p->keys * size, *asked = of_keys + p->keys * size;
  f32 *of_asked = asked + BLOCK * size;
  long asking = image * p->rows * p->q_step + head * size;
  long there = image * p->keys * p->k_step + head * size;
  long at = image * p->rows * p->o_step + head * size;
  const f32 *q = p->q + asking, *v = p->v + there, *o = p->o + at, *go = p->go + at;
  f32 *gq = p->gq + asking, *gv = p->gv + there;
  gathered(p, p->k + there, p->k_step, 0, p->keys, keyed);
  memset(turned_keys, 0, sizeof(f32) * (size_t)(2 * wide * size));
  memset(of_keys, 0, sizeof(f32) * (size_t)(p->keys * size));
  turn(keyed, size, p->keys, size, turned_keys, wide);
  turn(v, p->k_step, p->keys, size, turned_values, wide);
  for (long i = 0; i < p->keys; i++) memset(gv + i * p->k_step, 0, sizeof(f32) * (size_t)size);
  for (long from = 0; from < p->rows; from += BLOCK) {
    long rows = p->rows - from < BLOCK ? p->rows - from : BLOCK;
    long keys = p->is_causal && from + rows < p->keys ? from + rows : p->keys;
    const f32 *wanted = go + from * p->o_step;
    gathered(p, q + from * p->q_step, p->q_step, from, rows, asked);
    product(rows, EVEN(keys), size, asked, size, 1, turned_keys, wide, shares, wide, 0);
    product(rows, EVEN(keys), size, wanted, p->o_step, 1, turned_values, wide, slopes, wide, 0);
    for (long r = 0; r < rows; r++) {
      f32 *share = shares + r * wide, *slope = slopes + r * wide;
      long seen = p->is_causal && from + r + 1 < keys ? from + r + 1 : keys;
      f32 mean = 0, log = p->sums[unit * p->rows + from + r];
      const f32 *own = o + (from + r) * p->o_step, *given_row = wanted + r * p->o_step;
#pragma omp simd reduction(+ : mean)
      for (long i = 0; i < size; i++) mean += own[i] * given_row[i];
      masked(p, image, from + r, seen, share);
      if (p->limit) drop(p, unit, from + r, seen, factors);
      else for (long i = 0; i < seen; i++) factors[i] = 1.0f;
#pragma omp simd
      for (long i = 0; i < seen; i++) {
        f32 whole = exp_f32(share[i] - log);
        slope[i] = whole * (slope[i] * factors[i] - mean) * p->scale;
        share[i] = whole * factors[i];
      }
      for (long i = seen; i < keys; i++) share[i] = slope[i] = 0;
    }
    product(rows, size, keys, slopes, wide, 1, keyed, size, of_asked, size, 0);
    scattered(p, of_asked, from, rows, gq + from * p->q_step, p->q_step);
    product(keys, size, rows, shares, 1, wide, wanted, p->o_step, gv, p->k_step, 1);
    product(keys, size, rows, slopes, 1, wide, asked, size, of_keys, size, 1);
  }
  scattered(p, of_keys, 0, p->keys, p->gk + there, p->k_step);
  free(turned_keys);
  return 1;
}

/* ---- What XLA calls ---- */

/* Either queries, keys and values, or all three in one; then mask, key of dropout, and sines and
   cosines [2, time, size / 2], or a number where there is no such thing. Attributes: "numbers"
   (scale, what is kept of a number that is not dropped), "sizes" (is causal, limit of dropout,
   rows of the mask, whether there are sines). */
static problem of(XLA_FFI_CallFrame *frame, int is_packed) {
  const f32 *numbers_of = ATTRIBUTE(0);
  const int64_t *sizes = ATTRIBUTE(1), *q = GIVEN(0)->dims;
  int next = is_packed ? 1 : 3;
  const u32 *key = GIVEN(next + 1)->data;
  u32 first = mixed(key[0] ^ 0x9e3779b9u), second = mixed(first ^ key[1]);
  problem p = {.q = GIVEN(0)->data, .allowed = GIVEN(next)->data, .batch = q[0], .rows = q[1],
               .is_causal = (int)sizes[0], .limit = (u32)sizes[1], .masks = sizes[2],
               .scale = numbers_of[0], .kept = numbers_of[1], .seed = second,
               .mixer = mixed(second + 0x9e3779b9u)};
  p.heads = q[is_packed ? 3 : 2], p.size = q[is_packed ? 4 : 3];
  p.o_step = p.heads * p.size;
  if (is_packed) {
    p.k = p.q + p.o_step, p.v = p.k + p.o_step, p.keys = p.rows;
    p.q_step = p.k_step = 3 * p.o_step;
  } else {
    p.k = GIVEN(1)->data, p.v = GIVEN(2)->data, p.keys = GIVEN(1)->dims[1];
    p.q_step = p.k_step = p.o_step;
  }
  if (sizes[3]) {
    p.sines = GIVEN(next + 2)->data;
    p.cosines = p.sines + GIVEN(next + 2)->dims[1] * p.size / 2;
  }
  return p;
}

static int all_units(XLA_FFI_CallFrame *frame, const problem *p, working *work) {
  long multiplications = p->batch * p->heads * p->rows * p->keys * p->size;
  return share(frame, p, p->batch * p->heads, multiplications >= 1 << 20, work);
}

static XLA_FFI_Error *forwards(XLA_FFI_CallFrame *frame, int is_packed) {
  if (describes(frame)) return 0;
  problem p = of(frame, is_packed);
  p.out = RESULT(0)->data, p.logs = RESULT(1)->data;
  return all_units(frame, &p, mix) ? 0 : no_memory(frame);
}

static XLA_FFI_Error *backwards(XLA_FFI_CallFrame *frame, int is_packed) {
  if (describes(frame)) return 0;
  problem p = of(frame, is_packed);
  int next = is_packed ? 4 : 6;
  p.o = GIVEN(next)->data, p.sums = GIVEN(next + 1)->data, p.go = GIVEN(next + 2)->data;
  p.gq = RESULT(0)->data;
  p.gk = is_packed ? p.gq + p.o_step : RESULT(1)->data;
  p.gv = is_packed ? p.gk + p.o_step : RESULT(2)->data;
  return all_units(frame, &p, unmix) ? 0 : no_memory(frame);
}

/* -> what was mixed, and the logarithms of the rows' sums [batch, heads, rows] */
XLA_FFI_Error *attention_mix(XLA_FFI_CallFrame *frame) { return forwards(frame, 0); }
XLA_FFI_Error *attention_mix_packed(XLA_FFI_CallFrame *frame) { return forwards(frame, 1); }

/* ..., what was mixed, the logarithms, its gradient -> gradients of what was given */
XLA_FFI_Error *attention_unmix(XLA_FFI_CallFrame *frame) { return backwards(frame, 0); }
XLA_FFI_Error *attention_unmix_packed(XLA_FFI_CallFrame *frame) { return backwards(frame, 1); }
