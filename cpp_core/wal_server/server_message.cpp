// A message is a type byte, its length (without the type byte, with itself), and its fields.
#include "cpp_core/wal_server/server_message.h"

#include "neon_redo/bytes.h"

namespace neon_redo {

MessageBuilder::MessageBuilder(std::string* out, char type)
    : out_(out), length_at_(out->size() + 1) {
  out->push_back(type);
  out->append(4, '\0');
}

MessageBuilder::~MessageBuilder() {
  StoreBe32(out_->data() + length_at_, static_cast<uint32_t>(out_->size() - length_at_));
}

MessageBuilder& MessageBuilder::Byte(uint8_t value) {
  out_->push_back(static_cast<char>(value));
  return *this;
}

MessageBuilder& MessageBuilder::Int16(uint16_t value) {
  return Byte(static_cast<uint8_t>(value >> 8)).Byte(static_cast<uint8_t>(value));
}

MessageBuilder& MessageBuilder::Int32(uint32_t value) {
  return Int16(static_cast<uint16_t>(value >> 16)).Int16(static_cast<uint16_t>(value));
}

MessageBuilder& MessageBuilder::String(std::string_view value) {
  // A zero byte inside would start another field.
  return Raw(value.substr(0, value.find('\0'))).Byte(0);
}

MessageBuilder& MessageBuilder::Raw(std::string_view bytes) {
  out_->append(bytes);
  return *this;
}

void PutError(std::string* out, Severity severity, const ServerErrorMessage& error) {
  const char* word = severity == Severity::kFatal ? "FATAL" : "ERROR";
  MessageBuilder message(out, 'E');
  message.Byte('S').String(word).Byte('V').String(word);
  message.Byte('C').String(error.sqlstate).Byte('M').String(error.message);
  if (!error.detail.empty()) message.Byte('D').String(error.detail);
  if (!error.hint.empty()) message.Byte('H').String(error.hint);
  message.Byte(0);
}

void PutResult(std::string* out, const std::vector<Column>& columns, const Row& row) {
  {
    MessageBuilder message(out, 'T');
    message.Int16(static_cast<uint16_t>(columns.size()));
    for (const Column& column : columns) {
      const int size = column.type == ColumnType::kText   ? -1
                       : column.type == ColumnType::kInt4 ? 4
                                                          : 8;
      message.String(column.name).Int32(0).Int16(0);  // of no table
      message.Int32(static_cast<uint32_t>(column.type)).Int16(static_cast<uint16_t>(size));
      message.Int32(~uint32_t{0}).Int16(0);  // no type modifier, in text
    }
  }
  MessageBuilder message(out, 'D');
  message.Int16(static_cast<uint16_t>(row.size()));
  for (const auto& value : row) {
    if (value)
      message.Int32(static_cast<uint32_t>(value->size())).Raw(*value);
    else
      message.Int32(~uint32_t{0});
  }
}

void PutCommandComplete(std::string* out, std::string_view tag) {
  MessageBuilder(out, 'C').String(tag);
}

void PutReadyForQuery(std::string* out) { MessageBuilder(out, 'Z').Byte('I'); }

void PutParameterStatus(std::string* out, std::string_view name, std::string_view value) {
  MessageBuilder(out, 'S').String(name).String(value);
}

void PutAuthentication(std::string* out, uint32_t code, std::string_view data) {
  MessageBuilder(out, 'R').Int32(code).Raw(data);
}

void PutCopyBoth(std::string* out) { MessageBuilder(out, 'W').Byte(0).Int16(0); }

void PutCopyDone(std::string* out) { MessageBuilder(out, 'c'); }

void PutKeepalive(std::string* out, const Keepalive& keepalive) {
  const auto bytes = Encode(keepalive);
  MessageBuilder(out, 'd').Raw({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void PutXLogDataHeader(std::string* out, const XLogData& header, uint32_t length) {
  uint8_t bytes[5 + kXLogDataHeaderSize];
  bytes[0] = 'd';
  StoreBe32(bytes + 1, static_cast<uint32_t>(4 + kXLogDataHeaderSize) + length);
  const auto fields = EncodeXLogDataHeader(header);
  std::memcpy(bytes + 5, fields.data(), fields.size());
  out->append(reinterpret_cast<const char*>(bytes), sizeof(bytes));
}

}  // namespace neon_redo
