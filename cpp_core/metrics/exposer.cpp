// prometheus-cpp's exposer, which is a CivetWeb server: it reports what it cannot do by exceptions,
// and takes strings for addresses that mean other things to it ("9187s" is TLS), so the address is
// checked first.
#include "cpp_core/metrics/exposer.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <prometheus/exposer.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

bool IsNumericHost(std::string_view host) {
  in6_addr parsed;
  if (host.starts_with('[') && host.ends_with(']'))
    return inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &parsed) == 1;
  return inet_pton(AF_INET, std::string(host).c_str(), &parsed) == 1;
}

// HOST:PORT of what the user gave.
Result<std::string> CompleteAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  const bool bare = colon == std::string_view::npos;
  const std::string_view host = bare ? "127.0.0.1" : address.substr(0, colon);
  const std::string_view port = bare ? address : address.substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || !IsNumericHost(host))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("metrics address \"{}\" is neither PORT nor HOST:PORT with a "
                                 "numeric host, like 127.0.0.1:9187 or [::1]:9187",
                                 address));
  return fmt::format("{}:{}", host, number);
}

}  // namespace

Result<std::unique_ptr<MetricsExposer>> MetricsExposer::Open(const std::string& address) {
  ASSIGN_OR_RETURN(const auto complete, CompleteAddress(address));
  std::unique_ptr<MetricsExposer> out(new MetricsExposer);
  errno = 0;
  try {
    out->exposer_ = std::make_unique<prometheus::Exposer>(complete);
    out->exposer_->RegisterCollectable(out->registry_);
  } catch (const std::exception& e) {
    return MakeError(ErrorCode::kIo, fmt::format("could not serve metrics on {}: {}", complete,
                                                 errno != 0 ? std::strerror(errno) : e.what()));
  }
  return out;
}

MetricsExposer::~MetricsExposer() = default;

int MetricsExposer::port() const {
  const auto ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports[0];
}

}  // namespace neon_redo
