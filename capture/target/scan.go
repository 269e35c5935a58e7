// SPDX-License-Identifier: Apache-2.0

package target

// Scan reports what exists now: the chosen processes in the order of their
// pids, and what is wrong with some of them. The errors are a *ProcessError, a
// *BinaryError or a *ProcError.
func Scan(s Selection, o Options) ([]Process, []Problem, error) {
	c, err := newChooser(s, o)
	if err != nil {
		return nil, nil, err
	}
	var processes []Process
	var problems []Problem
	t := newTracker(c, o.Debug, func(e Event) {
		switch e := e.(type) {
		case Chosen:
			processes = append(processes, e.Process)
		case Problem:
			problems = append(problems, e)
		}
	})
	if err := t.scan(); err != nil {
		return nil, nil, err
	}
	return processes, problems, nil
}

// Inspect returns what the file at path holds of each wanted family: none for
// a program that gets them from libraries. The error is a *BinaryError.
func Inspect(path string, o Options) ([]Library, error) {
	found, _, err := newFinder(Selection{}, o.Wanted).libraries(path)
	if err != nil {
		return nil, &BinaryError{Path: path, Err: err}
	}
	return found, nil
}
