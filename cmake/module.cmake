# garrison_module(NAME SOURCES f.cc... [USES module...] [LIBRARIES target...] [TESTS f_test.cc...])
#
# One library target per module (garrison_NAME) and, with GARRISON_TESTS, one test program (NAME_test).
# USES must agree with tools/layers.toml; tools/check_layers.py fails otherwise.
function(garrison_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LIBRARIES;TESTS" ${ARGN})
  add_library(garrison_${name} STATIC ${arg_SOURCES})
  list(TRANSFORM arg_USES PREPEND garrison_)
  target_link_libraries(garrison_${name} PUBLIC garrison_flags ${arg_USES} PRIVATE ${arg_LIBRARIES})
  if(GARRISON_TESTS AND arg_TESTS)
    add_executable(${name}_test ${arg_TESTS})
    target_link_libraries(${name}_test PRIVATE garrison_${name} ${arg_LIBRARIES} GTest::gtest
      GTest::gtest_main rapidcheck)
    target_compile_definitions(${name}_test PRIVATE
      GARRISON_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 ENVIRONMENT "${GARRISON_TEST_ENVIRONMENT}")
  endif()
endfunction()

# garrison_embed(MODULE SYMBOL FILE): the file's bytes from SYMBOL to SYMBOL_end, aligned to 64, in the module's library.
function(garrison_embed module symbol file)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/embedded_file.S.in ${source} @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(garrison_${module} PRIVATE ${source})
endfunction()
