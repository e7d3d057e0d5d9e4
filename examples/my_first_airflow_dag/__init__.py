"""The date, a short sleep and a templated loop, with callbacks for success and failure."""
