# Compiler flags, carried by one interface target so that nothing is set globally behind a module's back.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(garrison_flags INTERFACE)
target_include_directories(garrison_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(garrison_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Werror
  # Designated initialisers name what matters; the rest keeps its defaults.
  -Wno-missing-field-initializers
  # The same source must give the same bits on every machine: no fused multiply-add behind our back.
  -ffp-contract=off
  -fno-omit-frame-pointer -fstack-protector-strong -ffunction-sections -fdata-sections)
# g++ 12 sees overlapping copies in `"literal" + std::string` (GCC bug 105651).
target_compile_options(garrison_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# clang 19 sees the deprecated get_temporary_buffer inside libstdc++ 12's std::stable_sort.
target_compile_options(garrison_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
target_compile_definitions(garrison_flags INTERFACE
  _GLIBCXX_ASSERTIONS GARRISON_VERSION="${PROJECT_VERSION}")
target_link_options(garrison_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(garrison_flags INTERFACE -march=x86-64-v2)
endif()
target_link_libraries(garrison_flags INTERFACE Threads::Threads)

if(GARRISON_SANITIZE)
  target_compile_options(garrison_flags INTERFACE
    -fsanitize=${GARRISON_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(garrison_flags INTERFACE -fsanitize=${GARRISON_SANITIZE})
  # g++ 12 reports false positives of these two in instrumented library code.
  target_compile_options(garrison_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-tsan>)
endif()

if(GARRISON_FUZZ)
  # Everywhere, not in fuzz/ alone: what libFuzzer follows is the coverage of the code under test.
  target_compile_options(garrison_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
