"""Where labelled tiles come from, a module for each kind of source; `edge_digits_train.data.load_data` picks one."""
