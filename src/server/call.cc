#include "server/call.h"

#include <utility>

#include "base/check.h"

namespace garrison {

void AddCommonHeaders(const Call& call, HttpResponse& response) {
  response.headers.push_back({"X-Request-ID", call.context.id});
  // The name that Anthropic's clients look for.
  if (call.dialect == Dialect::kAnthropic) {
    response.headers.push_back({"request-id", call.context.id});
  }
  for (HttpHeader& header : call.services.access.CorsHeaders(call.request)) {
    response.headers.push_back(std::move(header));
  }
}

std::unique_ptr<BodyStream> Call::Stream(HttpResponse head) {
  CHECK(writer != nullptr && !streams);
  streams = true;
  AddCommonHeaders(*this, head);
  return writer->Stream(std::move(head));
}

}  // namespace garrison
