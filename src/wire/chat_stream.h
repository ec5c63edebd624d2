// An answer of a language model on its way to a client, as server-sent events of one dialect.
#pragma once

#include <string>

#include "base/result.h"
#include "core/chat.h"

namespace garrison {

// Makes bytes of text/event-stream. One answer, one thread. Begin comes first; then Event as often
// as there is something; then exactly one of End and Fail, behind which nothing comes.
class ChatStreamEncoder {
 public:
  virtual ~ChatStreamEncoder() = default;
  virtual std::string Begin(const ChatServed& served) = 0;
  virtual std::string Event(const ChatEvent& event) = 0;
  virtual std::string End(const ChatOutcome& outcome) = 0;
  // The answer broke off: says so in a way that no client takes for an orderly end.
  virtual std::string Fail(const Error& error) = 0;
};

}  // namespace garrison
