// Package tig stands in for the package of the same name of nerdctl's own test tools, which cannot be had as a module.
// The program itself never calls it: a helper that only its tests use names this one interface.
package tig

// T is what a test is told through.
type T interface {
	Helper()
	Log(arguments ...any)
	FailNow()
}
