// neon_redo_info(): versions of this build, and the sandbox of its workers.
#include "src/server.h"
#include "src/worker/worker.h"

extern "C" {
#include "access/htup_details.h"
}

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_redo_info);

Datum neon_redo_info(PG_FUNCTION_ARGS) {
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function returning record called in context that cannot accept type "
                           "record")));
  Datum values[4];
  bool nulls[4] = {false, false, false, false};
  values[0] = CStringGetTextDatum(NEON_REDO_VERSION);
  values[1] = Int32GetDatum(PG_VERSION_NUM);
  values[2] = Int32GetDatum(core::kProtocolVersion);
  // The layers that are on by default, in the order of EnterSandbox (sandbox.cpp).
  values[3] = CStringGetTextDatum(
      "wiped environment, closed descriptors, no capabilities, no core dumps, no new privileges, "
      "Landlock, resource limits, seccomp");
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
}
#pragma GCC visibility pop
