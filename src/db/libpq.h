// PostgreSQL's client library, opened when it is first needed. Private to db/.
//
// It brings twenty more shared libraries (Kerberos, LDAP, GnuTLS), which every start would load if
// it were linked: docs/decisions/0005-databases.md.
#pragma once

#include <libpq-fe.h>

#include "base/result.h"

namespace garrison {

#define GARRISON_LIBPQ_FUNCTIONS(X) \
  X(PQconninfoParse)                \
  X(PQconninfoFree)                 \
  X(PQconnectStartParams)           \
  X(PQconnectPoll)                  \
  X(PQfinish)                       \
  X(PQstatus)                       \
  X(PQsocket)                       \
  X(PQerrorMessage)                 \
  X(PQsetnonblocking)               \
  X(PQsetNoticeProcessor)           \
  X(PQsendQuery)                    \
  X(PQsendPrepare)                  \
  X(PQsendQueryPrepared)            \
  X(PQenterPipelineMode)            \
  X(PQexitPipelineMode)             \
  X(PQpipelineSync)                 \
  X(PQflush)                        \
  X(PQconsumeInput)                 \
  X(PQisBusy)                       \
  X(PQgetResult)                    \
  X(PQclear)                        \
  X(PQresultStatus)                 \
  X(PQresultErrorField)             \
  X(PQresultErrorMessage)           \
  X(PQntuples)                      \
  X(PQnfields)                      \
  X(PQftype)                        \
  X(PQgetisnull)                    \
  X(PQgetvalue)                     \
  X(PQgetlength)                    \
  X(PQcmdTuples)                    \
  X(PQfreemem)

// The library's functions by their own names.
struct LibPq {
#define X(name) decltype(&::name) name = nullptr;
  GARRISON_LIBPQ_FUNCTIONS(X)
#undef X

  // FAILED_PRECONDITION when the library is not on this machine, or is older than PostgreSQL 14.
  static Result<LibPq> Load();
};

}  // namespace garrison
