# Native unit tests: once as the machine likes it, once per forced ISA.
find_path(TERSOR_DOCTEST_INCLUDE doctest/doctest.h)
if(NOT TERSOR_DOCTEST_INCLUDE)
  message(FATAL_ERROR "doctest not found. Type: apt-get install doctest-dev (or: brew install doctest)")
endif()

# A folder that holds nothing else: /usr/include among the folders would bring its headers to a cross compiler.
configure_file(${TERSOR_DOCTEST_INCLUDE}/doctest/doctest.h ${CMAKE_CURRENT_BINARY_DIR}/include/doctest/doctest.h COPYONLY)

file(GLOB TERSOR_TEST_SOURCES CONFIGURE_DEPENDS native/test/*.cc)
add_executable(tersor-native-tests ${TERSOR_TEST_SOURCES})
target_include_directories(tersor-native-tests SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/include)
target_link_libraries(tersor-native-tests PRIVATE tersor_core)

enable_testing()
add_test(NAME native COMMAND tersor-native-tests)
foreach(isa scalar avx2 avx512)
  add_test(NAME native-${isa} COMMAND tersor-native-tests)
  # 77: the machine cannot run this level.
  set_tests_properties(native-${isa} PROPERTIES ENVIRONMENT TERSOR_ISA=${isa} SKIP_RETURN_CODE 77)
endforeach()
