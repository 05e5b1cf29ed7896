// PostgreSQL's own redo routines, called for one record at a time on a page in the caller's memory.
// A request is BeginRequest, optionally PushBase, ApplyRecord for each record, then EndRequest.
// Invalid input ends the process with ereport(FATAL); its CONTEXT names the record.
// One thread only.
#ifndef NEON_REDO_SRC_WORKER_ENGINE_H_
#define NEON_REDO_SRC_WORKER_ENGINE_H_

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

// Starts the parts of the server that redo routines use: the shared-memory allocator over a private
// mapping, the buffer manager, a storage manager without files, and the resource managers. Call it
// once, before any other function of this header and before EnterSandbox.
void StartEngine();

// Begins a request for the block and discards an unfinished request. The page is built in place:
// page points to 8192 bytes, aligned to 8, that the caller owns until EndRequest or MovePage.
void BeginRequest(const BlockTag& tag, uint8_t* page);

// Moves the page under construction, if it has content, from `from` to `to`, and continues there.
void MovePage(uint8_t* to, const uint8_t* from);

// Copies the base image, 8192 bytes, into the page.
void PushBase(const uint8_t* image);

// Replays one record on the page. end_lsn is the record's end (EndRecPtr), which becomes the page's
// LSN. The function overwrites the bytes of the record.
void ApplyRecord(uint64_t end_lsn, uint8_t* record, uint32_t length);

// Whether the page has content: a base was pushed or a record applied.
bool HavePage();

// Completes the page and removes the request from the engine.
void EndRequest();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_ENGINE_H_
