// neon_redo_info(): what this build is, for SQL.
#include "src/server.h"
#include "src/worker/worker.h"

#pragma GCC visibility push(default)
extern "C" {
PG_FUNCTION_INFO_V1(neon_redo_info);

Datum neon_redo_info(PG_FUNCTION_ARGS) {
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("neon_redo_info must be called where a row is expected")));
  Datum values[4];
  bool nulls[4] = {false, false, false, false};
  values[0] = CStringGetTextDatum(NEON_REDO_VERSION);
  values[1] = Int32GetDatum(PG_VERSION_NUM);
  values[2] = Int32GetDatum(core::kProtocolVersion);
  // In the order in which EnterSandbox (sandbox.cpp) puts them on.
  values[3] = CStringGetTextDatum("closed descriptors, no dumps, resource limits, seccomp");
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
}
#pragma GCC visibility pop
