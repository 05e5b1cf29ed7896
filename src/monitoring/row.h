// A row of a set-returning function. Clear makes every column null, and unknown values stay null.
// Memory comes from the current memory context.
#ifndef NEON_REDO_SRC_MONITORING_ROW_H_
#define NEON_REDO_SRC_MONITORING_ROW_H_

#include "src/monitoring/server.h"

namespace neon_redo {

template <int kColumnCount>
struct Row {
  Datum values[kColumnCount];
  bool nulls[kColumnCount];

  void Clear() {
    memset(values, 0, sizeof(values));
    memset(nulls, true, sizeof(nulls));
  }
  void Set(int column, Datum value) {
    values[column] = value;
    nulls[column] = false;
  }
  void SetText(int column, const char* text) { Set(column, CStringGetTextDatum(text)); }
  void SetInt64(int column, int64 value) { Set(column, Int64GetDatum(value)); }
  void SetLsn(int column, XLogRecPtr lsn) {
    if (!XLogRecPtrIsInvalid(lsn)) Set(column, LSNGetDatum(lsn));
  }
  void SetTime(int column, TimestampTz time) {
    if (time != 0) Set(column, TimestampTzGetDatum(time));
  }
  // A negative value means unknown.
  void SetInterval(int column, int64 microseconds) {
    if (microseconds < 0) return;
    Interval* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
    interval->time = microseconds;
    Set(column, IntervalPGetDatum(interval));
  }
  void Put(ReturnSetInfo* result) {
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
};

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_ROW_H_
