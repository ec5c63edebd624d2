# gRPC and protobuf, linked statically: as shared libraries they are 50 more files to load and relocate,
# which made `garrison embed` 10 ms slower and 7 MiB larger; statically it is 1 ms and 3 MiB
# (docs/decisions/0004-grpc.md). OpenSSL stays shared, so that there is one of it.
find_package(PkgConfig REQUIRED)
pkg_check_modules(GRPC REQUIRED grpc++ protobuf)
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

set(grpc_libraries "")
list(REMOVE_DUPLICATES GRPC_LIBRARIES)
foreach(name grpc++_reflection ${GRPC_LIBRARIES})
  if(name MATCHES "^(ssl|crypto|rt|atomic)$")
    continue()
  endif()
  find_library(static_${name} NAMES lib${name}.a HINTS ${GRPC_LIBRARY_DIRS} REQUIRED)
  list(APPEND grpc_libraries ${static_${name}})
endforeach()
find_package(OpenSSL REQUIRED)

add_library(garrison_grpc INTERFACE)
target_include_directories(garrison_grpc SYSTEM INTERFACE ${GRPC_INCLUDE_DIRS})
# A group, because the libraries need each other in a circle.
target_link_libraries(garrison_grpc INTERFACE
  -Wl,--start-group ${grpc_libraries} -Wl,--end-group OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

# garrison_proto(TARGET FILE.proto...): a library with the code generated from files below proto/. It is
# compiled without our warnings, and its headers are system headers to those who use it.
function(garrison_proto target)
  set(out ${CMAKE_BINARY_DIR}/proto)
  set(sources "")
  foreach(file ${ARGN})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    set(made ${out}/${stem}.pb.cc ${out}/${stem}.grpc.pb.cc)
    add_custom_command(
      OUTPUT ${made} ${out}/${stem}.pb.h ${out}/${stem}.grpc.pb.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND ${PROTOC} -I${CMAKE_SOURCE_DIR}/proto --cpp_out=${out} --grpc_out=${out}
        --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${file}
      DEPENDS ${CMAKE_SOURCE_DIR}/proto/${file}
      VERBATIM)
    list(APPEND sources ${made})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_compile_options(${target} PRIVATE -w -ffunction-sections -fdata-sections)
  if(GARRISON_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${GARRISON_SANITIZE})
  endif()
  target_link_libraries(${target} PUBLIC garrison_grpc)
endfunction()
