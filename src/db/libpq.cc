#include "db/libpq.h"

#include <dlfcn.h>

namespace garrison {

Result<LibPq> LibPq::Load() {
  // It stays once it is there: some of the libraries it brings cannot be unloaded.
  void* library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    return FailAt("database.url", Code::kFailedPrecondition,
                  "PostgreSQL needs its client library libpq.so.5 on this machine; install the "
                  "package libpq5");
  }
  LibPq functions;
  bool all = true;
#define X(name)                                                                \
  functions.name = reinterpret_cast<decltype(&::name)>(dlsym(library, #name)); \
  all = all && functions.name != nullptr;
  GARRISON_LIBPQ_FUNCTIONS(X)
#undef X
  dlclose(library);
  if (!all) {
    return FailAt("database.url", Code::kFailedPrecondition,
                  "the client library libpq.so.5 on this machine is older than PostgreSQL 14; "
                  "install a newer package libpq5");
  }
  return functions;
}

}  // namespace garrison
