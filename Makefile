PYTHON ?= .venv/bin/python
gen:
	rm -rf gen/llmmesh && mkdir -p gen
	PATH=$(CURDIR)/.venv/bin:$$PATH $(PYTHON) -m grpc_tools.protoc -Iprotos --python_out=gen --grpc_python_out=gen --mypy_out=gen --mypy_grpc_out=gen $$(find protos -name '*.proto' | sort)
.PHONY: gen
