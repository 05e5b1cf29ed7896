// LogicalLines: a logical stream as lines of text, each of them once.
#ifndef NEON_REDO_WAL_CLIENT_LOGICAL_LINES_H_
#define NEON_REDO_WAL_CLIENT_LOGICAL_LINES_H_

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cpp_core/base/hash_key.h"
#include "cpp_core/wal_client/message.h"
#include "cpp_core/wal_client/pgoutput.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Turns messages into lines: those of pgoutput into one JSON object each, those of a plug-in that
// writes text (test_decoding) as they are. Not thread-safe.
//
// After a reconnection the server sends the open transaction again from its start. Its lines are
// the same; as many of them as were given out before are dropped, and compared by a hash. Pieces of
// a transaction that has not committed (pgoutput's streaming) can be cut differently, so there a
// line {"action":"restart"} says that whatever is not committed begins again.
class LogicalLines {
 public:
  enum class Format { kPgoutputJson, kText };
  explicit LogicalLines(Format format) : format_(format) {}

  // What the descriptions of tables may take, of all that a server ever sent.
  static constexpr size_t kMaxTableBytes = 256 << 20;

  // Appends the lines of one message to *out. kCorrupt: not a message of the plug-in, or a
  // transaction came back different. kUnsupported: more tables than fit kMaxTableBytes.
  Status Add(const XLogData& message, std::string* out);
  // Everything up to the keepalive's position is decoded.
  void Add(const Keepalive& keepalive);
  void Reconnected(std::string* out);

  // What a client that has all lines so far can confirm.
  Lsn confirmable() const { return confirmable_; }

 private:
  struct Table {
    std::string fields;                // ,"schema":"public","table":"t"
    std::vector<std::string> columns;  // "a":
    std::vector<bool> in_identity;     // of each column: it is part of the replica identity

    size_t bytes() const;  // of memory, about
  };

  Status AddPgoutput(Bytes message, std::string* out, Lsn* transaction_end);
  void Append(const pgoutput::Decoded& message, std::string* line, Lsn* transaction_end);
  void Remember(uint32_t relation, Table table);
  void AppendTime(ReplicationTime time, std::string* line);
  const Table* Find(uint32_t relation) const;
  void AppendTable(uint32_t relation, std::string* line) const;
  enum class Columns { kAll, kIdentity };
  void AppendTuple(std::string_view name, uint32_t relation, const pgoutput::Tuple& row,
                   Columns wanted, std::string* line) const;
  Status Emit(size_t begin, std::string* out);

  const Format format_;
  pgoutput::Decoder decoder_;
  std::unordered_map<uint32_t, Table, KeyedHash> tables_;
  size_t table_bytes_ = 0;
  Lsn confirmable_;
  time_t second_ = 0;  // whose text is second_text_
  std::string second_text_;
  bool streams_ = false;  // pieces of uncommitted transactions were given out

  // Of the open transaction.
  uint64_t lines_ = 0;
  uint64_t hash_ = 0;
  // Of the same transaction before the reconnection: how many lines to drop, and their hash.
  uint64_t drop_ = 0;
  uint64_t drop_hash_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_CLIENT_LOGICAL_LINES_H_
