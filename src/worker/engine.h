// PostgreSQL's own redo routines, fed one record at a time, over pages that no storage manager
// knows. One request at a time: Begin, Push or none, Apply…, then the page. What cannot be right
// does not return: ereport(FATAL) with the record's name in it.
#ifndef NEON_REDO_SRC_WORKER_ENGINE_H_
#define NEON_REDO_SRC_WORKER_ENGINE_H_

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

// Sets up the parts of the server that redo routines use: shared memory (in private memory),
// buffer manager, storage manager with nothing behind it, resource managers. Once, before anything
// else here and before the sandbox.
void StartEngine();

// A new request for the block, forgetting the one before. The page is built in place: page is 8192
// bytes, 8-aligned, and stays the caller's.
void BeginRequest(const BlockTag& tag, uint8_t* page);

// The page under way continues at another place; its content is moved there if there is any.
void MovePage(uint8_t* to, const uint8_t* from);

// Copies the base image, 8192 bytes, into the page.
void PushBase(const uint8_t* image);

// Replays one record over the page; end_lsn is what redo stamps on it. The bytes of the record are
// scratch: they are moved about.
void ApplyRecord(uint64_t end_lsn, uint8_t* record, uint32_t length);

// There is a page to answer: a base was pushed or a record applied.
bool HavePage();

// Ends the request: its page is complete, and nothing of it stays in the engine.
void EndRequest();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_ENGINE_H_
