/* Convolution of each channel on its own, and its gradients, for XLA to call.

   Arrays are [n, height, width, channels] and [window, window, channels], float32. Channels are
   taken a vector at a time; the last vector of a row begins early, so that it ends with the
   channels. Every number is added up in an order that the number of threads does not change. */

enum { ROWS = 4, AT_ONCE = 4, SMALL = 1 << 18, WIDEST = 16 };

typedef struct {
  const f32 *in, *kernel, *out_gradient;
  f32 *out, *parts;
  /* The larger map, the smaller one, the window, its steps, and zeros before the larger one. */
  long n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw;
} problem;

/* ---- Outputs ---- */

/* One place whose window may reach over the edge. */
INLINE vec at_edge(const problem *p, const f32 *in, const f32 *kernel, long first, long last,
                   long row, long column) {
  vec sum = {0};
  for (long ky = first; ky < last; ky++)
    for (long kx = 0; kx < p->kw; kx++) {
      long x = column + kx;
      if (x >= 0 && x < p->w)
        sum += LOAD(in + ((row + ky) * p->w + x) * p->c) * LOAD(kernel + (ky * p->kw + kx) * p->c);
    }
  return sum;
}

INLINE void output_row(const problem *p, long image, long r, long kw) {
  long row = r * p->sh - p->ph, step = p->sw * p->c;
  long first = row < 0 ? -row : 0, last = row + p->kh > p->h ? p->h - row : p->kh;
  /* Columns whose whole window is within. */
  long low = (p->pw + p->sw - 1) / p->sw, high = (p->w - kw + p->pw) / p->sw + 1;
  if (p->w - kw + p->pw < 0) high = 0;
  if (high > p->ow) high = p->ow;
  if (low > high) low = high;
  const f32 *in = p->in + image * p->h * p->w * p->c;
  f32 *out = p->out + (image * p->oh + r) * p->ow * p->c;
  for (long at = 0; at < p->c; at += LANES) {
    long c = at + LANES > p->c ? p->c - LANES : at;
    const f32 *kernel = p->kernel + c;
    long q = 0;
    for (; q < low; q++)
      STORE(out + q * p->c + c, at_edge(p, in + c, kernel, first, last, row, q * p->sw - p->pw));
    for (; q + AT_ONCE <= high; q += AT_ONCE) {
      vec sums[AT_ONCE] = {0};
      for (long ky = first; ky < last; ky++) {
        const f32 *from = in + ((row + ky) * p->w + q * p->sw - p->pw) * p->c + c;
        for (long kx = 0; kx < kw; kx++) {
          vec factor = LOAD(kernel + (ky * kw + kx) * p->c);
          for (int i = 0; i < AT_ONCE; i++) sums[i] += LOAD(from + kx * p->c + i * step) * factor;
        }
      }
      for (int i = 0; i < AT_ONCE; i++) STORE(out + (q + i) * p->c + c, sums[i]);
    }
    for (; q < p->ow; q++)
      STORE(out + q * p->c + c, at_edge(p, in + c, kernel, first, last, row, q * p->sw - p->pw));
  }
}

static int output_rows(const void *given, int unit) {
  const problem *p = given;
  long groups = (p->oh + ROWS - 1) / ROWS, image = unit / groups, from = unit % groups * ROWS;
  long to = from + ROWS > p->oh ? p->oh : from + ROWS;
  for (long r = from; r < to; r++) switch (p->kw) {
      case 3: output_row(p, image, r, 3); break;
      case 5: output_row(p, image, r, 5); break;
      case 7: output_row(p, image, r, 7); break;
      default: output_row(p, image, r, p->kw);
    }
  return 1;
}

/* ---- The gradient of inputs, where the window steps ---- */

static int input_rows(const void *problem_of, int unit) {
  const problem *p = problem_of;
  long groups = (p->h + ROWS - 1) / ROWS, image = unit / groups, from = unit % groups * ROWS;
  long to = from + ROWS > p->h ? p->h : from + ROWS;
  const f32 *gradient = p->in + image * p->oh * p->ow * p->c;
  f32 *out = p->out + image * p->h * p->w * p->c;
  const f32 *given[WIDEST * WIDEST], *factors[WIDEST * WIDEST];
  for (long y = from; y < to; y++)
    for (long x = 0; x < p->w; x++) {
      /* The outputs that saw this place, each through its own tap. */
      int taps = 0;
      for (long ky = (y + p->ph) % p->sh; ky < p->kh && ky <= y + p->ph; ky += p->sh) {
        long r = (y + p->ph - ky) / p->sh;
        if (r >= p->oh) continue;
        for (long kx = (x + p->pw) % p->sw; kx < p->kw && kx <= x + p->pw; kx += p->sw) {
          long q = (x + p->pw - kx) / p->sw;
          if (q >= p->ow) continue;
          given[taps] = gradient + (r * p->ow + q) * p->c;
          factors[taps++] = p->kernel + (ky * p->kw + kx) * p->c;
        }
      }
      f32 *place = out + (y * p->w + x) * p->c;
      for (long at = 0; at < p->c; at += LANES) {
        long c = at + LANES > p->c ? p->c - LANES : at;
        vec sum = {0};
        for (int i = 0; i < taps; i++) sum += LOAD(given[i] + c) * LOAD(factors[i] + c);
        STORE(place + c, sum);
      }
    }
  return 1;
}

/* ---- The gradient of the window ---- */

INLINE void window_of_image(const problem *p, long image, long kw) {
  const f32 *in = p->in + image * p->h * p->w * p->c;
  const f32 *gradient = p->out_gradient + image * p->oh * p->ow * p->c;
  f32 *part = p->parts + image * p->kh * kw * p->c;
  long low = (p->pw + p->sw - 1) / p->sw, high = (p->w - kw + p->pw) / p->sw + 1;
  if (p->w - kw + p->pw < 0) high = 0;
  if (high > p->ow) high = p->ow;
  if (low > high) low = high;
  for (long at = 0; at < p->c; at += LANES) {
    long c = at + LANES > p->c ? p->c - LANES : at;
    for (long ky = 0; ky < p->kh; ky++) {
      vec sums[WIDEST] = {0};
      for (long r = 0; r < p->oh; r++) {
        long y = r * p->sh - p->ph + ky;
        if (y < 0 || y >= p->h) continue;
        const f32 *row = in + y * p->w * p->c + c, *given = gradient + r * p->ow * p->c + c;
        for (long q = 0; q < p->ow; q++) {
          vec factor = LOAD(given + q * p->c);
          long x = q * p->sw - p->pw;
          const f32 *from = row + x * p->c;
          if (q >= low && q < high)
            for (long kx = 0; kx < kw; kx++) sums[kx] += LOAD(from + kx * p->c) * factor;
          else
            for (long kx = 0; kx < kw; kx++)
              if (x + kx >= 0 && x + kx < p->w) sums[kx] += LOAD(from + kx * p->c) * factor;
        }
      }
      for (long kx = 0; kx < kw; kx++) STORE(part + (ky * kw + kx) * p->c + c, sums[kx]);
    }
  }
}

static int window_part(const void *given, int image) {
  const problem *p = given;
  switch (p->kw) {
    case 3: window_of_image(p, image, 3); break;
    case 5: window_of_image(p, image, 5); break;
    case 7: window_of_image(p, image, 7); break;
    default: window_of_image(p, image, p->kw);
  }
  return 1;
}

/* ---- What XLA calls ---- */

static int is_large(const problem *p) {
  return p->n * p->oh * p->ow * p->c * p->kh * p->kw >= SMALL;
}

/* The larger map, the smaller one and the window say all sizes; steps and zeros are an attribute. */
static problem of(XLA_FFI_CallFrame *frame, const XLA_FFI_Buffer *large,
                  const XLA_FFI_Buffer *small, const XLA_FFI_Buffer *window) {
  const int64_t *given = ATTRIBUTE(0);
  const int64_t *a = large->dims, *b = small->dims, *k = window->dims;
  return (problem){.n = a[0], .h = a[1], .w = a[2], .c = a[3], .oh = b[1], .ow = b[2],
                   .kh = k[0], .kw = k[1], .sh = given[0], .sw = given[1], .ph = given[2],
                   .pw = given[3]};
}

/* inputs, kernel -> outputs */
XLA_FFI_Error *depthwise_outputs(XLA_FFI_CallFrame *frame) {
  if (describes(frame)) return 0;
  problem p = of(frame, GIVEN(0), RESULT(0), GIVEN(1));
  p.in = GIVEN(0)->data, p.kernel = GIVEN(1)->data, p.out = RESULT(0)->data;
  long units = p.n * ((p.oh + ROWS - 1) / ROWS);
  return share(frame, &p, units, is_large(&p), output_rows) ? 0 : no_memory(frame);
}

/* gradient of outputs, kernel -> gradient of inputs */
XLA_FFI_Error *depthwise_inputs(XLA_FFI_CallFrame *frame) {
  if (describes(frame)) return 0;
  problem p = of(frame, RESULT(0), GIVEN(0), GIVEN(1));
  p.in = GIVEN(0)->data, p.kernel = GIVEN(1)->data, p.out = RESULT(0)->data;
  long units = p.n * ((p.h + ROWS - 1) / ROWS);
  return share(frame, &p, units, is_large(&p), input_rows) ? 0 : no_memory(frame);
}

/* inputs, gradient of outputs -> gradient of the kernel */
XLA_FFI_Error *depthwise_window(XLA_FFI_CallFrame *frame) {
  if (describes(frame)) return 0;
  problem p = of(frame, GIVEN(0), GIVEN(1), RESULT(0));
  p.in = GIVEN(0)->data, p.out_gradient = GIVEN(1)->data;
  f32 *out = RESULT(0)->data;
  long size = p.kh * p.kw * p.c;
  p.parts = malloc(sizeof(f32) * (size_t)(size * p.n + 1));
  if (!p.parts || !share(frame, &p, p.n, is_large(&p), window_part)) {
    free(p.parts);
    return no_memory(frame);
  }
  memset(out, 0, sizeof(f32) * (size_t)size);
  for (long image = 0; image < p.n; image++)
    for (long i = 0; i < size; i++) out[i] += p.parts[image * size + i];
  free(p.parts);
  return 0;
}
