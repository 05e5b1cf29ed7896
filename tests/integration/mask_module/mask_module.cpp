// The server's own masks as an SQL function, for test_masks.py:
//
//   server_mask(rmid int, first_block int, pages bytea) RETURNS bytea
//
// pages: any number of 8192-byte pages, of consecutive blocks. For each the answer has one byte,
// 1 when the mask ran to its end and 0 when it raised an error, and the page as the mask left it.
//
// A hostile page leads the server's masks out of the page: line pointers and pd_special reach
// 65551 bytes from its start. Each page is therefore masked in the middle of a large zeroed buffer.
extern "C" {
#include "postgres.h"
//
#include "access/xlog_internal.h"
#include "fmgr.h"
#include "utils/memutils.h"
#if __has_include("varatt.h")  // since 16
#include "varatt.h"
#endif

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(server_mask);
}

static constexpr size_t kMargin = 128 * 1024;

static bool MaskOne(uint8 rmid, char* page, BlockNumber block) {
  MemoryContext context = CurrentMemoryContext;
  volatile bool fine = true;
  PG_TRY();
  { RmgrTable[rmid].rm_mask(page, block); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    FlushErrorState();
    fine = false;
  }
  PG_END_TRY();
  return fine;
}

extern "C" Datum server_mask(PG_FUNCTION_ARGS) {
  const int rmid = PG_GETARG_INT32(0);
  const BlockNumber first = (BlockNumber)PG_GETARG_INT32(1);
  bytea* pages = PG_GETARG_BYTEA_PP(2);
  const size_t count = VARSIZE_ANY_EXHDR(pages) / BLCKSZ;
  if (rmid < 0 || rmid > RM_MAX_BUILTIN_ID || RmgrTable[rmid].rm_mask == NULL)
    elog(ERROR, "resource manager %d has no mask", rmid);

  char* buffer = (char*)palloc(2 * kMargin + BLCKSZ);
  bytea* answer = (bytea*)palloc(VARHDRSZ + count * (1 + BLCKSZ));
  SET_VARSIZE(answer, VARHDRSZ + count * (1 + BLCKSZ));
  char* out = VARDATA(answer);
  for (size_t i = 0; i < count; i++) {
    memset(buffer, 0, 2 * kMargin + BLCKSZ);
    memcpy(buffer + kMargin, VARDATA_ANY(pages) + i * BLCKSZ, BLCKSZ);
    *out++ = MaskOne((uint8)rmid, buffer + kMargin, first + (BlockNumber)i);
    memcpy(out, buffer + kMargin, BLCKSZ);
    out += BLCKSZ;
  }
  PG_RETURN_BYTEA_P(answer);
}
