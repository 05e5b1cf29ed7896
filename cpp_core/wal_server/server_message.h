// Messages of the frontend/backend protocol, as the server writes them (PostgreSQL documentation,
// "Message Formats"). Each function appends one whole message to *out.
#ifndef NEON_REDO_WAL_SERVER_SERVER_MESSAGE_H_
#define NEON_REDO_WAL_SERVER_SERVER_MESSAGE_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/wal_client/message.h"

namespace neon_redo {

// One message; its length is put in when the builder goes.
class MessageBuilder {
 public:
  MessageBuilder(std::string* out, char type);
  ~MessageBuilder();
  MessageBuilder(const MessageBuilder&) = delete;
  MessageBuilder& operator=(const MessageBuilder&) = delete;

  MessageBuilder& Byte(uint8_t value);
  MessageBuilder& Int16(uint16_t value);
  MessageBuilder& Int32(uint32_t value);
  MessageBuilder& String(std::string_view value);  // with the zero byte behind it
  MessageBuilder& Raw(std::string_view bytes);

 private:
  std::string* const out_;
  const size_t length_at_;
};

// An error as clients see it: SQLSTATE, message, and what of the rest is not empty.
struct ServerErrorMessage {
  std::string sqlstate;
  std::string message;
  std::string detail = {};
  std::string hint = {};
};

enum class Severity { kError, kFatal };

void PutError(std::string* out, Severity severity, const ServerErrorMessage& error);

// Columns of a result: the types that replication commands use (catalog/pg_type.dat).
enum class ColumnType : uint32_t { kText = 25, kInt4 = 23, kInt8 = 20 };
struct Column {
  std::string name;
  ColumnType type;
};
using Row = std::vector<std::optional<std::string>>;
void PutResult(std::string* out, const std::vector<Column>& columns, const Row& row);

void PutCommandComplete(std::string* out, std::string_view tag);
void PutReadyForQuery(std::string* out);
void PutParameterStatus(std::string* out, std::string_view name, std::string_view value);
void PutAuthentication(std::string* out, uint32_t code, std::string_view data = {});
void PutCopyBoth(std::string* out);
void PutCopyDone(std::string* out);
void PutKeepalive(std::string* out, const Keepalive& keepalive);
// All of a WAL message but the WAL itself, of which `length` bytes follow.
void PutXLogDataHeader(std::string* out, const XLogData& header, uint32_t length);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SERVER_MESSAGE_H_
