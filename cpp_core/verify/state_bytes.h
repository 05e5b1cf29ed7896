// Values in a row of bytes, for the ledger: what is written is read back in the same order. The bytes may
// have been damaged or made up since: a reader never leaves them, and makes no more room than they fill.
#ifndef NEON_REDO_VERIFY_STATE_BYTES_H_
#define NEON_REDO_VERIFY_STATE_BYTES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// Native byte order: a ledger stays on its machine.
class StateWriter {
 public:
  template <typename T>
  void Add(T value) {
    static_assert(std::is_integral_v<T>);
    if constexpr (std::is_same_v<T, bool>)
      Append(static_cast<uint8_t>(value));
    else
      Append(value);
  }
  void Add(Lsn lsn) { Add(lsn.value); }
  void Add(const RelFileNode& rel) {
    Add(rel.spc);
    Add(rel.db);
    Add(rel.rel);
  }
  void Add(const BlockTag& tag) {
    Add(tag.rel);
    Add(tag.fork);
    Add(tag.block);
  }
  void Add(std::string_view text) {
    Add(uint64_t{text.size()});
    bytes_.append(text);
  }
  void Add(const std::string& text) { Add(std::string_view(text)); }
  void AddCount(size_t count) { Add(uint64_t{count}); }

  const std::string& bytes() const { return bytes_; }

 private:
  template <typename T>
  void Append(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  std::string bytes_;
};

// After the first value that is not there, or is none of its kind, ok() is false and all others are zero.
class StateReader {
 public:
  explicit StateReader(std::string_view bytes)
      : in_(Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) {}

  bool ok() const { return ok_; }
  void Fail() { ok_ = false; }
  // All was read, and was what it must be.
  bool is_done() const { return ok_ && in_.remaining() == 0; }

  template <typename T>
  T Get() {
    static_assert(std::is_integral_v<T>);
    using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
    Stored value{};
    if (!ok_ || !in_.Read(&value)) {
      ok_ = false;
      return {};
    }
    if constexpr (std::is_same_v<T, bool>)
      if (value > 1) ok_ = false;
    return static_cast<T>(ok_ ? value : Stored{});
  }
  Lsn GetLsn() { return Lsn(Get<uint64_t>()); }
  RelFileNode GetRelation() {
    RelFileNode rel{};
    rel.spc = Get<uint32_t>();
    rel.db = Get<uint32_t>();
    rel.rel = Get<uint32_t>();
    return rel;
  }
  BlockTag GetTag() {
    BlockTag tag{};
    tag.rel = GetRelation();
    tag.fork = Get<uint8_t>();
    tag.block = Get<uint32_t>();
    if (tag.fork > kMaxForkNumber) ok_ = false;
    return tag;
  }
  // A number from 0 to `last`, which stands for a value of an enumeration.
  template <typename E>
  E GetEnum(E last) {
    const auto value = Get<uint8_t>();
    if (value > static_cast<uint8_t>(last)) ok_ = false;
    return static_cast<E>(ok_ ? value : 0);
  }
  std::string GetText() {
    Bytes bytes;
    const auto size = Get<uint64_t>();
    if (!ok_ || size > in_.remaining() || !in_.ReadBytes(size, &bytes)) {
      ok_ = false;
      return {};
    }
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // Of items that have at least so many bytes each.
  size_t GetCount(size_t least) {
    const auto count = Get<uint64_t>();
    if (!ok_ || count > in_.remaining() / least) {
      ok_ = false;
      return 0;
    }
    return count;
  }

 private:
  ByteReader in_;
  bool ok_ = true;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_STATE_BYTES_H_
