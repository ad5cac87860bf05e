#include "capture/identity.h"

#include <sys/random.h>

#include "model/error.h"

namespace tidemark::capture {

Uuid random_uuid() {
  Uuid uuid;
  const ssize_t count = ::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0);
  if (count != static_cast<ssize_t>(uuid.bytes.size())) {
    throw Error(ExitCode::failed, "the operating system gave no random bytes",
                "see whether getrandom(2) is forbidden here");
  }
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0F) | 0x40);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3F) | 0x80);
  return uuid;
}

}  // namespace tidemark::capture
