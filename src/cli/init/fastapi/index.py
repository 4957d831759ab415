from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()
adapter = Mangum(app)


@app.get("/")
def root(name: str = "nobody"):
    return {"message": f"Hello, {name}!"}


def handler(event, context):
    # Mangum expects no question mark.
    event["rawQueryString"] = event["rawQueryString"].removeprefix("?")
    return adapter(event, context)
