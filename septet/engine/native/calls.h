/* What XLA's calls into C have in common: units of work for its threads, and how a call is read. */

#include <stdlib.h>
#include "xla/ffi/api/c_api.h"

enum { MOST_HELPERS = 15 };

/* ---- Units of work, taken by whoever is free ---- */

typedef int working(const void *problem, int unit);

typedef struct job {
  atomic_int next, done, owners, failed;
  int total;
  working *work;
  const void *problem;
} job;

/* A thread that comes late finds no unit left, and looks at nothing that may be gone by then. */
static void take(job *j) {
  for (int unit; (unit = atomic_fetch_add(&j->next, 1)) < j->total;) {
    if (!j->work(j->problem, unit)) atomic_store(&j->failed, 1);
    atomic_fetch_add(&j->done, 1);
  }
}

static void leave(job *j) {
  if (atomic_fetch_sub(&j->owners, 1) == 1) free(j);
}

static void help(void *given) {
  take(given);
  leave(given);
}

/* Work on all units, with XLA's threads if it is `large`; whether there was memory for it. */
static int share(XLA_FFI_CallFrame *frame, const void *problem, long total, int large,
                 working *work) {
  job *j = malloc(sizeof(job));
  if (!j) return 0;
  atomic_init(&j->next, 0);
  atomic_init(&j->done, 0);
  atomic_init(&j->failed, 0);
  j->total = (int)total, j->work = work, j->problem = problem;
  int64_t threads = 1;
  XLA_FFI_ThreadPool_NumThreads_Args asked = {XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE, 0,
                                              frame->ctx, &threads};
  if (!large || frame->api->XLA_FFI_ThreadPool_NumThreads(&asked)) threads = 1;
  long helpers = threads - 1;
  if (helpers > MOST_HELPERS) helpers = MOST_HELPERS;
  if (helpers > total - 1) helpers = total - 1;
  if (helpers < 0) helpers = 0;
  atomic_init(&j->owners, 1 + (int)helpers);
  XLA_FFI_ThreadPool_Schedule_Args asking = {XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE, 0,
                                             frame->ctx, help, j};
  for (long i = 0; i < helpers; i++)
    if (frame->api->XLA_FFI_ThreadPool_Schedule(&asking)) leave(j);
  take(j);
  for (long waited = 0; atomic_load(&j->done) < total; waited++)
    if (waited > PATIENCE) sched_yield();
  int is_done = !atomic_load(&j->failed);
  leave(j);
  return is_done;
}

/* ---- A call ---- */

#define GIVEN(i) ((XLA_FFI_Buffer *)frame->args.args[i])
#define RESULT(i) ((XLA_FFI_Buffer *)frame->rets.rets[i])
/* Attributes come in the order of their names; each is an array. */
#define ATTRIBUTE(i) (((XLA_FFI_Array *)frame->attrs.attrs[i])->data)

/* XLA asks once, at registration, what the callee was built for. */
static int describes(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (!extension || extension->type != XLA_FFI_Extension_Metadata) return 0;
  XLA_FFI_Metadata *about = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
  about->api_version = (XLA_FFI_Api_Version){XLA_FFI_Api_Version_STRUCT_SIZE, 0, XLA_FFI_API_MAJOR,
                                             XLA_FFI_API_MINOR};
  about->traits = 0;
  return 1;
}

static XLA_FFI_Error *no_memory(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Error_Create_Args about = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, 0,
                                     "no memory for what a call into C needs beside its results",
                                     XLA_FFI_Error_Code_RESOURCE_EXHAUSTED};
  return frame->api->XLA_FFI_Error_Create(&about);
}
