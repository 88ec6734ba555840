/* Attention of several heads, and its gradients, for XLA to call.

   Scores are never written down as a whole: a block of rows at a time is computed, mixed and left.
   Backwards they are computed again, from the logarithm of each row's sum (Dao et al. 2022,
   arXiv:2205.14135). What lies above the diagonal is left out where a position sees none after it.
   Queries, keys and values are [batch, time, heads, size], float32, the size whole vectors. Each
   head of each row is one unit of work, added up in an order of its own. */

enum { BLOCK = 32, AT_ONCE = 4, MANY = LANES == 16 ? 4 : 2 };

/* A score that must not be seen is this, as in Keras' layer; finite. */
#define NEGATIVE -1e30f

typedef struct {
  const f32 *q, *k, *v, *o, *sums, *go;
  f32 *out, *logs, *gq, *gk, *gv;
  const u8 *allowed;
  long batch, rows, keys, heads, size;
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

/* ---- Forwards ---- */

static int mix(const void *given, int unit) {
  const problem *p = given;
  long image = unit / p->heads, head = unit % p->heads, size = p->size;
  long step = p->heads * size, wide = WIDE(p->keys);
  f32 *turned = aligned_alloc(64, sizeof(f32) * (size_t)(wide * (size + BLOCK + 1) + 16) / 64 * 64);
  if (!turned) return 0;
  f32 *scores = turned + wide * size, *factors = scores + wide * BLOCK;
  const f32 *q = p->q + image * p->rows * step + head * size;
  const f32 *k = p->k + image * p->keys * step + head * size;
  const f32 *v = p->v + image * p->keys * step + head * size;
  f32 *out = p->out + image * p->rows * step + head * size;
  memset(turned, 0, sizeof(f32) * (size_t)(wide * size));
  turn(k, step, p->keys, size, turned, wide);
  for (long from = 0; from < p->rows; from += BLOCK) {
    long rows = p->rows - from < BLOCK ? p->rows - from : BLOCK;
    long keys = p->is_causal && from + rows < p->keys ? from + rows : p->keys;
    product(rows, EVEN(keys), size, q + from * step, step, 1, turned, wide, scores, wide, 0);
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
    product(rows, size, keys, scores, wide, 1, v, step, out + from * step, step, 0);
  }
  free(turned);
  return 1;
}

/* ---- Backwards ---- */

static int unmix(const void *given, int unit) {
  const problem *p = given;
  long image = unit / p->heads, head = unit % p->heads, size = p->size;
  long step = p->heads * size, wide = WIDE(p->keys);
  size_t needed = sizeof(f32) * (size_t)(wide * (2 * size + 2 * BLOCK + 1) + 16) / 64 * 64;
  f32 *turned_keys = aligned_alloc(64, needed);
  if (!turned_keys) return 0;
  f32 *turned_values = turned_keys + wide * size, *shares = turned_values + wide * size;
  f32 *slopes = shares + wide * BLOCK, *factors = slopes + wide * BLOCK;
  long at = image * p->rows * step + head * size, there = image * p->keys * step + head * size;
  const f32 *q = p->q + at, *k = p->k + there, *v = p->v + there, *o = p->o + at, *go = p->go + at;
  f32 *gq = p->gq + at, *gk = p->gk + there, *gv = p->gv + there;
  memset(turned_keys, 0, sizeof(f32) * (size_t)(2 * wide * size));
  turn(k, step, p->keys, size, turned_keys, wide);
  turn(v, step, p->keys, size, turned_values, wide);
  for (long i = 0; i < p->keys; i++) {
    memset(gk + i * step, 0, sizeof(f32) * (size_t)size);
    memset(gv + i * step, 0, sizeof(f32) * (size_t)size);
  }
  for (long from = 0; from < p->rows; from += BLOCK) {
    long rows = p->rows - from < BLOCK ? p->rows - from : BLOCK;
    long keys = p->is_causal && from + rows < p->keys ? from + rows : p->keys;
    const f32 *asked = q + from * step, *wanted = go + from * step;
    product(rows, EVEN(keys), size, asked, step, 1, turned_keys, wide, shares, wide, 0);
    product(rows, EVEN(keys), size, wanted, step, 1, turned_values, wide, slopes, wide, 0);
    for (long r = 0; r < rows; r++) {
      f32 *share = shares + r * wide, *slope = slopes + r * wide;
      long seen = p->is_causal && from + r + 1 < keys ? from + r + 1 : keys;
      f32 mean = 0, log = p->sums[unit * p->rows + from + r];
      const f32 *own = o + (from + r) * step, *given_row = wanted + r * step;
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
    product(rows, size, keys, slopes, wide, 1, k, step, gq + from * step, step, 0);
    product(keys, size, rows, shares, 1, wide, wanted, step, gv, step, 1);
    product(keys, size, rows, slopes, 1, wide, asked, step, gk, step, 1);
  }
  free(turned_keys);
  return 1;
}

/* ---- What XLA calls ---- */

/* queries, keys, values, mask (or nothing), key of dropout. Attributes: "numbers" (scale, what is
   kept of a number that is not dropped), "sizes" (is causal, limit of dropout, mask's rows). */
static problem of(XLA_FFI_CallFrame *frame) {
  const f32 *numbers = ATTRIBUTE(0);
  const int64_t *sizes = ATTRIBUTE(1), *q = GIVEN(0)->dims;
  const u32 *key = GIVEN(4)->data;
  u32 first = mixed(key[0] ^ 0x9e3779b9u), second = mixed(first ^ key[1]);
  return (problem){.q = GIVEN(0)->data, .k = GIVEN(1)->data, .v = GIVEN(2)->data,
                   .allowed = GIVEN(3)->data, .batch = q[0], .rows = q[1], .heads = q[2],
                   .size = q[3], .keys = GIVEN(1)->dims[1], .is_causal = (int)sizes[0],
                   .limit = (u32)sizes[1], .masks = sizes[2], .scale = numbers[0],
                   .kept = numbers[1], .seed = second, .mixer = mixed(second + 0x9e3779b9u)};
}

static int is_large(const problem *p) {
  return p->batch * p->heads * p->rows * p->keys * p->size >= 1 << 20;
}

/* -> what was mixed, and the logarithms of the rows' sums [batch, heads, rows] */
XLA_FFI_Error *attention_mix(XLA_FFI_CallFrame *frame) {
  if (describes(frame)) return 0;
  problem p = of(frame);
  p.out = RESULT(0)->data, p.logs = RESULT(1)->data;
  return share(frame, &p, p.batch * p.heads, is_large(&p), mix) ? 0 : no_memory(frame);
}

/* ..., what was mixed, the logarithms, its gradient -> gradients of queries, keys and values */
XLA_FFI_Error *attention_unmix(XLA_FFI_CallFrame *frame) {
  if (describes(frame)) return 0;
  problem p = of(frame);
  p.o = GIVEN(5)->data, p.sums = GIVEN(6)->data, p.go = GIVEN(7)->data;
  p.gq = RESULT(0)->data, p.gk = RESULT(1)->data, p.gv = RESULT(2)->data;
  return share(frame, &p, p.batch * p.heads, is_large(&p), unmix) ? 0 : no_memory(frame);
}
