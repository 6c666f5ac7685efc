package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Options reads options that may stand before, between and behind other words, with several short ones in one word.
type options struct {
	flags  map[string]*bool
	values map[string]func(string) error
}

func newOptions() *options {
	return &options{map[string]*bool{}, map[string]func(string) error{}}
}

func (o *options) flag(target *bool, names ...string) {
	for _, name := range names {
		o.flags[name] = target
	}
}

func (o *options) value(set func(string) error, names ...string) {
	for _, name := range names {
		o.values[name] = set
	}
}

func (o *options) text(target *string, names ...string) {
	o.value(func(value string) error { *target = value; return nil }, names...)
}

func (o *options) duration(target *time.Duration, names ...string) {
	o.value(func(value string) (err error) { *target, err = readDuration(value); return err }, names...)
}

// A plain number is a number of seconds.
func readDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// Parse returns the words that are no options; with `between` false it stops at the first of them.
func (o *options) parse(words []string, between bool) ([]string, error) {
	var rest []string
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			return append(rest, words...), nil
		}
		if !strings.HasPrefix(word, "-") || word == "-" {
			rest = append(rest, word)
			if !between {
				return append(rest, words...), nil
			}
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if target, known := o.flags[name]; known {
			*target = value != "false"
			continue
		}
		if set, known := o.values[name]; known {
			if !hasValue {
				if len(words) == 0 {
					return nil, fmt.Errorf("the option %s wants a value", word)
				}
				value, words = words[0], words[1:]
			}
			if err := set(value); err != nil {
				return nil, fmt.Errorf("the option %s: %w", word, err)
			}
			continue
		}
		if strings.HasPrefix(word, "--") || !o.several(name) {
			return nil, fmt.Errorf("this stand-in does not know the option %s", word)
		}
	}
	return rest, nil
}

// Several sets the flags of a word like `-fa`.
func (o *options) several(letters string) bool {
	for _, letter := range letters {
		if o.flags[string(letter)] == nil {
			return false
		}
	}
	for _, letter := range letters {
		*o.flags[string(letter)] = true
	}
	return true
}
