// The messages of the output plug-in pgoutput, protocol versions 1 to 4 (PostgreSQL documentation,
// "Logical Replication Message Formats"; replication/logical/proto.c).
#ifndef NEON_REDO_WAL_CLIENT_PGOUTPUT_H_
#define NEON_REDO_WAL_CLIENT_PGOUTPUT_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "cpp_core/wal_client/message.h"
#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::pgoutput {

// All text and bytes are views of the message that was decoded.

struct Begin {
  Lsn commit;  // of the transaction's commit record
  ReplicationTime time;
  uint32_t xid;
};
struct Commit {
  Lsn commit;
  Lsn end;  // a client that has this far needs nothing of this transaction again
  ReplicationTime time;
};
struct Origin {
  Lsn commit;  // on the origin server
  std::string_view name;
};
struct Message {  // pg_logical_emit_message
  bool transactional;
  Lsn lsn;
  std::string_view prefix;
  Bytes content;
};
struct Column {
  bool key;
  std::string_view name;
  uint32_t type;
  int32_t type_modifier;
};
struct Relation {
  uint32_t id;
  std::string_view schema;  // "" is pg_catalog
  std::string_view name;
  char replica_identity;  // pg_class.relreplident
  std::vector<Column> columns;
};
struct Type {
  uint32_t id;
  std::string_view schema;
  std::string_view name;
};
struct Value {
  enum class Kind { kNull, kUnchangedToast, kText, kBinary } kind;
  Bytes bytes;
};
using Tuple = std::vector<Value>;
struct Insert {
  uint32_t relation;
  Tuple row;
};
struct Update {
  uint32_t relation;
  std::optional<Tuple> key;  // the replica identity's columns, if one of them changed
  std::optional<Tuple> old;  // the whole old row (REPLICA IDENTITY FULL)
  Tuple row;
};
struct Delete {
  uint32_t relation;
  std::optional<Tuple> key;
  std::optional<Tuple> old;
};
struct Truncate {
  bool cascade;
  bool restart_identity;
  std::vector<uint32_t> relations;
};
// Version 2: a large transaction in pieces before it commits.
struct StreamStart {
  uint32_t xid;
  bool first;
};
struct StreamStop {};
struct StreamCommit {
  uint32_t xid;
  Commit commit;
};
struct StreamAbort {
  uint32_t xid;
  uint32_t subxid;  // equal to xid: all of it
  // Version 4 with streaming = parallel.
  std::optional<Lsn> lsn;
  std::optional<ReplicationTime> time;
};
// Version 3: two-phase transactions.
struct Prepared {
  enum class Kind { kBegin, kPrepare, kCommit, kStreamPrepare } kind;
  Lsn lsn;  // of the prepare (kCommit: of the commit)
  Lsn end;
  ReplicationTime time;
  uint32_t xid;
  std::string_view gid;
};
struct RollbackPrepared {
  Lsn prepare_end;
  Lsn end;
  ReplicationTime prepare_time;
  ReplicationTime time;
  uint32_t xid;
  std::string_view gid;
};

using Body =
    std::variant<Begin, Commit, Origin, Message, Relation, Type, Insert, Update, Delete, Truncate,
                 StreamStart, StreamStop, StreamCommit, StreamAbort, Prepared, RollbackPrepared>;

struct Decoded {
  uint32_t xid;  // of the (sub)transaction, where the message has it: inside a stream; else 0
  Body body;
};

// Remembers whether the stream is between StreamStart and StreamStop, where messages have one field
// more. Not thread-safe.
class Decoder {
 public:
  // kCorrupt: a message that is cut short, has bytes left over, or is of no known kind.
  Result<Decoded> Decode(Bytes message);
  // After a reconnection.
  void Reset() { in_stream_ = false; }

 private:
  bool in_stream_ = false;
};

}  // namespace neon_redo::pgoutput

#endif  // NEON_REDO_WAL_CLIENT_PGOUTPUT_H_
