// Tests of the CEL specification that the CEL dialect is known to fail, by group; the README says why.

const GROUPS: Readonly<Record<string, string>> = {
  'basic/variables': 'unbound_is_runtime_error',
  'basic/functions': 'unbound_is_runtime_error',
  'comparisons/eq_literal': 'eq_bytes not_eq_list_length eq_mixed_types eq_list_elem_mixed_types eq_dyn_json_null',
  'comparisons/eq_wrapper':
    'eq_bool_empty eq_bool_not_null eq_bytes eq_bytes_empty eq_bytes_not_null eq_double_empty eq_double_not_null eq_float_empty eq_float_not_null eq_int32_empty eq_int32_not_null eq_int64_empty eq_int64_not_null eq_string_empty eq_string_not_null eq_uint32_empty eq_uint32_not_null eq_uint64_empty eq_uint64_not_null',
  'comparisons/ne_literal': 'not_ne_bytes ne_mixed_types',
  'comparisons/gt_literal': 'not_gt_double',
  'logic/conditional': 'mixed_type',
  'logic/AND': 'short_circuit_type_left short_circuit_type_right',
  'logic/OR': 'short_circuit_type_left short_circuit_type_right',
  'macros/all': 'list_empty',
  'parse/whitespace': 'spaces tabs new_lines new_pages carriage_returns',
  'parse/comments': 'new_line_terminated',
  'parse/receiver_function_names':
    'as break const continue else for function if import let loop package namespace return var void while',
  'timestamps/timestamp_conversions': 'type_comparison',
  'timestamps/duration_conversions': 'type_comparison',
  'timestamps/timestamp_arithmetic': 'add_time_to_duration',
}

/** Full names of the tests. */
export const CEL_DEVIATIONS: readonly string[] = Object.entries(GROUPS).flatMap(([group, names]) => {
  return names.split(' ').map((name) => `${group}/${name}`)
})
