// prometheus-cpp's exposer, which is a CivetWeb server: it reports what it cannot do by exceptions,
// and takes strings for addresses that mean other things to it ("9187s" is TLS), so the address is
// checked first.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <prometheus/exposer.h>
#include <prometheus/text_serializer.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "cpp_core/base/try.h"
#include "cpp_core/metrics/registry.h"

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

MetricsRegistry::MetricsRegistry() : impl_(new Impl) {}
MetricsRegistry::~MetricsRegistry() = default;

std::string MetricsRegistry::ToText() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

class MetricsExposer::Impl {
 public:
  Impl(const std::string& address, std::shared_ptr<MetricsRegistry> metrics)
      : registry(std::move(metrics)), exposer(address) {
    exposer.RegisterCollectable(registry->impl().registry);
  }

  const std::shared_ptr<MetricsRegistry> registry;
  prometheus::Exposer exposer;
};

Result<std::unique_ptr<MetricsExposer>> MetricsExposer::Open(
    const std::string& address, std::shared_ptr<MetricsRegistry> registry) {
  ASSIGN_OR_RETURN(const auto complete, CompleteAddress(address));
  if (registry == nullptr) registry = std::make_shared<MetricsRegistry>();
  errno = 0;
  try {
    auto impl = std::make_unique<Impl>(complete, std::move(registry));
    return std::unique_ptr<MetricsExposer>(new MetricsExposer(std::move(impl)));
  } catch (const std::exception& e) {
    return MakeError(ErrorCode::kIo, fmt::format("could not serve metrics on {}: {}", complete,
                                                 errno != 0 ? std::strerror(errno) : e.what()));
  }
}

MetricsExposer::MetricsExposer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsExposer::~MetricsExposer() = default;

const std::shared_ptr<MetricsRegistry>& MetricsExposer::registry() const { return impl_->registry; }

int MetricsExposer::port() const {
  const auto ports = impl_->exposer.GetListeningPorts();
  return ports.empty() ? 0 : ports[0];
}

}  // namespace neon_redo
